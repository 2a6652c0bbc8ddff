# SPDX-License-Identifier: Apache-2.0
# Defines crossdock::crossdock; crossdock::cli works where cxxopts is, crossdock::xtensor is defined where xtensor is,
# crossdock::compiled where it was installed, crossdock::mpi where MPI is and the component is asked for.
# find_package(crossdock REQUIRED COMPONENTS cli compiled mpi xtensor) fails where one is not.
include(CMakeFindDependencyMacro)
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
find_dependency(Threads)
find_dependency(nlohmann_json 3.11)
find_dependency(libdeflate)
find_dependency(xxHash)
list(POP_FRONT CMAKE_MODULE_PATH)

include("${CMAKE_CURRENT_LIST_DIR}/crossdock-targets.cmake")

include("${CMAKE_CURRENT_LIST_DIR}/crossdock-compiled-targets.cmake" OPTIONAL RESULT_VARIABLE crossdock_compiled_FOUND)

find_package(cxxopts QUIET)
set(crossdock_cli_FOUND ${cxxopts_FOUND})

find_package(xtensor 0.24 QUIET)
set(crossdock_xtensor_FOUND ${xtensor_FOUND})
if(xtensor_FOUND AND NOT TARGET crossdock::xtensor)
    add_library(crossdock::xtensor INTERFACE IMPORTED)
    target_link_libraries(crossdock::xtensor INTERFACE crossdock::crossdock xtensor)
endif()

set(crossdock_mpi_FOUND OFF)
if("mpi" IN_LIST crossdock_FIND_COMPONENTS)
    set(MPI_CXX_SKIP_MPICXX ON)
    find_package(MPI QUIET COMPONENTS CXX)
    set(crossdock_mpi_FOUND ${MPI_CXX_FOUND})
    if(MPI_CXX_FOUND AND NOT TARGET crossdock::mpi)
        add_library(crossdock::mpi INTERFACE IMPORTED)
        target_compile_definitions(crossdock::mpi INTERFACE CROSSDOCK_WITH_MPI)
        target_link_libraries(crossdock::mpi INTERFACE crossdock::crossdock MPI::MPI_CXX)
    endif()
endif()

foreach(component IN LISTS crossdock_FIND_COMPONENTS)
    if(crossdock_FIND_REQUIRED_${component} AND NOT crossdock_${component}_FOUND)
        set(crossdock_FOUND FALSE)
        set(crossdock_NOT_FOUND_MESSAGE
            "the component '${component}' needs what is not installed: cli needs cxxopts, xtensor needs xtensor, mpi needs MPI, compiled needs an installation with CROSSDOCK_BUILD_COMPILED")
    endif()
endforeach()
