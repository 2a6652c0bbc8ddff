# SPDX-License-Identifier: Apache-2.0
include(CMakeFindDependencyMacro)
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
find_dependency(Threads)
find_dependency(nlohmann_json 3.11)
find_dependency(xtensor 0.24)
find_dependency(libdeflate)
find_package(cxxopts QUIET)  # only crossdock::cli needs it
list(POP_FRONT CMAKE_MODULE_PATH)

include("${CMAKE_CURRENT_LIST_DIR}/crossdock-targets.cmake")
