# SPDX-License-Identifier: Apache-2.0
# Of xxHash its header alone, which has all of it: nothing is linked.
find_path(xxHash_INCLUDE_DIR xxhash.h)
mark_as_advanced(xxHash_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(xxHash REQUIRED_VARS xxHash_INCLUDE_DIR)

if(xxHash_FOUND AND NOT TARGET xxHash::inline)
    add_library(xxHash::inline INTERFACE IMPORTED)
    set_target_properties(xxHash::inline PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${xxHash_INCLUDE_DIR}")
endif()
