# SPDX-License-Identifier: Apache-2.0
# `cpack` in a build folder makes the packages `crossdock` and `libcrossdock-dev` for Debian and an archive with the
# program alone, which asks for nothing where CROSSDOCK_SELF_CONTAINED is on.

set(CPACK_PACKAGE_VENDOR "The Crossdock authors")
set(CPACK_PACKAGE_FILE_NAME "crossdock-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR}")  # and an archive's folder
set(CPACK_PACKAGE_CONTACT "The Crossdock authors <crossdock-maintainers@users.noreply.github.com>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "converts checkpoints of large language models")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_COMPONENTS_ALL program development)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME crossdock)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libcrossdock-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "nlohmann-json3-dev (>= 3.11), libdeflate-dev, libxxhash-dev")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "libxtensor-dev, libcxxopts-dev")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
    "Converts checkpoints of large language models between formats and parallel layouts:
 Hugging Face, Megatron-LM, Megatron-Core, Megatron-LLM and original releases, bit
 for bit, without Python or a GPU. This is the program.")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "Converts checkpoints of large language models between formats and parallel layouts:
 Hugging Face, Megatron-LM, Megatron-Core, Megatron-LLM and original releases, bit
 for bit, without Python or a GPU. This is the C++ library.")

set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_PROGRAM_FILE_NAME "${CPACK_PACKAGE_FILE_NAME}")
set(CPACK_ARCHIVE_DEVELOPMENT_FILE_NAME "libcrossdock-dev-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR}")

# What Debian asks of every package: whose it is, and what changed.
set(debian_dir "${PROJECT_BINARY_DIR}/debian")
file(WRITE "${debian_dir}/copyright" "Copyright: The Crossdock authors\nLicense: Apache-2.0\n"
    " On Debian systems, the licence is in /usr/share/common-licenses/Apache-2.0.\n")
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE "${debian_dir}/changelog" "crossdock (${PROJECT_VERSION}) stable; urgency=low\n\n  * See CHANGELOG.md.\n\n"
    " -- ${CPACK_PACKAGE_CONTACT}  ${now}\n")
file(ARCHIVE_CREATE OUTPUT "${debian_dir}/changelog.gz" PATHS "${debian_dir}/changelog" FORMAT raw COMPRESSION GZip)
function(install_debian_papers component package)
    install(FILES "${debian_dir}/copyright" "${debian_dir}/changelog.gz"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/${package}" COMPONENT ${component} EXCLUDE_FROM_ALL)
endfunction()
install_debian_papers(program crossdock)
install(FILES "${PROJECT_SOURCE_DIR}/packaging/third-party.txt"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/crossdock" COMPONENT program)
install_debian_papers(development libcrossdock-dev)

include(CPack)
