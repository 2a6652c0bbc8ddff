# SPDX-License-Identifier: Apache-2.0
"""Crossdock for Conan 2, from this very checkout: conan create packaging/conan"""

import re
from pathlib import Path

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class Crossdock(ConanFile):
    name = "crossdock"
    description = "Converts checkpoints of large language models between formats and parallel layouts"
    license = "Apache-2.0"
    topics = ("llm", "checkpoint", "megatron", "safetensors")
    package_type = "application"
    settings = "os", "arch", "compiler", "build_type"

    def set_version(self):
        header = Path(self.recipe_folder, "../../include/crossdock/version.hpp").read_text()
        self.version = ".".join(re.findall(r"^#define CROSSDOCK_VERSION_[A-Z]+ (\d+)$", header, re.M))

    def export_sources(self):
        root = Path(self.recipe_folder, "../..")
        for pattern in ("CMakeLists.txt", "LICENSE", "*.md", "cmake/*", "include/*", "cli/*", "src/*", "packaging/*"):
            copy(self, pattern, root, self.export_sources_folder)

    def requirements(self):
        self.requires("nlohmann_json/[>=3.11 <4]", transitive_headers=True)
        self.requires("libdeflate/[>=1.14 <2]", transitive_headers=True, transitive_libs=True)
        self.requires("xxhash/[>=0.8 <1]", transitive_headers=True)
        self.requires("cxxopts/[>=3.0 <4]")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        dependencies = CMakeDeps(self)
        for name in ("libdeflate", "xxhash"):  # cmake/Find….cmake finds them: their packages' targets have other names
            dependencies.set_property(name, "cmake_find_mode", "none")
        dependencies.generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["CROSSDOCK_BUILD_TESTS"] = False
        toolchain.cache_variables["CROSSDOCK_BUILD_EXAMPLES"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()

    def package_info(self):
        self.cpp_info.set_property("cmake_find_mode", "none")  # the package brings its own
        self.cpp_info.builddirs.append("share/cmake/crossdock")
