// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/torch/reader.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/writer.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/core/error.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"
#include "support/temporary_directory.hpp"
#include "support/zip_bytes.hpp"

using namespace crossdock;
using namespace crossdock::test;
using pickle::Value;

namespace {

const std::filesystem::path data = CROSSDOCK_TEST_DATA;

Value read_data(const std::string& name) { return torch::read(data / "torch" / name); }

std::string bytes_of(const std::string& name) { return read_file(data / "torch" / name); }

Value read_bytes(std::string bytes) { return torch::read(memory_source(std::move(bytes))); }

TensorDict tensors_of(const std::string& name) { return torch::tensors(read_data(name), name); }

std::string crc_text(const Tensor& tensor) {
    constexpr std::string_view digits = "0123456789abcdef";
    const std::uint32_t crc = zip::crc32(tensor.bytes());
    std::string out;
    for (unsigned shift = 32; shift > 0; shift -= 4) out += digits[crc >> (shift - 4) & 15U];
    return out;
}

std::vector<float> floats(const Tensor& tensor) {
    const auto bytes = tensor.bytes();
    std::vector<float> out(bytes.size() / sizeof(float));
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
}

/// A torch file whose data.pkl holds `root`, and whose one storage has these bytes.
std::string file_of(const Value& root, const std::string& storage = std::string(24, 'x')) {
    return zip_bytes({{"p/data.pkl", pickle::write(root)}, {"p/version", "3\n"}, {"p/data/0", storage}});
}

/// What a tensor looks like in a pickle; each part may be made wrong.
struct Parts {
    Value storage =
        pickle::PersistentId{pickle::Tuple{{"storage", pickle::Global{"torch", "FloatStorage"}, "0", "cpu", 6}}};
    Value offset = 0;
    Value size = pickle::Tuple{{2, 3}};
    Value stride = pickle::Tuple{{3, 1}};

    Value value() const {
        pickle::Object object;
        object.module = "torch._utils";
        object.name = "_rebuild_tensor_v2";
        object.args = pickle::Tuple{{storage, offset, size, stride, false, {}}};
        return pickle::Dict{{{"w", object}}};
    }
};

Value storage_of(const Value& type, const Value& key, const Value& count) {
    return pickle::PersistentId{pickle::Tuple{{"storage", type, key, "cpu", count}}};
}

std::string error_of(const std::string& file) {
    try {
        read_bytes(file);
    } catch (const Error& error) {
        const std::string text = error.what();
        // The offset in the pickle depends on the parts; a case of its own looks at it.
        const std::size_t at = text.find(" (pickle offset");
        return at == text.npos ? text : text.substr(0, at) + text.substr(text.find(')', at) + 1);
    }
    return "none";
}

std::string error_of(const Parts& parts) { return error_of(file_of(parts.value())); }

/// Counts what is read of a file.
class CountingSource final : public Source {
public:
    explicit CountingSource(const std::filesystem::path& path) : file_(path) {}
    using Source::read;
    const std::string& name() const noexcept override { return file_.name(); }
    std::uint64_t size() const noexcept override { return file_.size(); }
    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        for (const iovec& buffer : buffers) bytes_read += buffer.iov_len;
        file_.read(offset, buffers);
    }
    mutable std::uint64_t bytes_read = 0;

private:
    FileSource file_;
};

}  // namespace

TEST_CASE("torch reader finds the tensors that torch.load finds", "[container][torch]") {
    std::ifstream expected(data / "torch" / "expected.txt");
    std::string line, file;
    std::vector<std::string> lines;
    const auto check = [&] {
        if (file.empty()) return;
        const TensorDict tensors = torch::tensors(torch::read(data / file), file);
        INFO(file);
        REQUIRE(tensors.entries().size() == lines.size());
        for (std::size_t i = 0; i < lines.size(); ++i) {
            const auto& [name, tensor, from] = tensors.entries()[i];
            REQUIRE(to_text(name, '|', torch_name(tensor.dtype()), '|', tensor.shape(), '|', crc_text(tensor)) ==
                    lines[i]);
        }
    };
    std::size_t count = 0;
    for (; std::getline(expected, line); ++count) {
        const std::size_t bar = line.find('|');
        if (line.substr(0, bar) != file) check(), lines.clear(), file = line.substr(0, bar);
        lines.push_back(line.substr(bar + 1));
    }
    check();
    CHECK(count > 100);
}

TEST_CASE("torch reader reads views at any stride and offset", "[container][torch]") {
    const TensorDict tensors = tensors_of("views.pt");
    const auto at = [&](std::string_view name) { return floats(tensors.find(name)->tensor); };
    CHECK(at("transposed") == std::vector<float>{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11});
    CHECK(at("block") == std::vector<float>{4, 5, 7, 8});
    CHECK(at("column") == std::vector<float>{2, 5, 8, 11});
    CHECK(at("every_other") == std::vector<float>{0, 2, 4, 6, 8, 10});
    CHECK(at("expanded") == std::vector<float>{0, 1, 2, 0, 1, 2});
    CHECK(at("scalar") == std::vector<float>{7});
    CHECK(at("none").empty());
    CHECK(tensors.find("none")->tensor.shape() == Shape{0, 3});
}

TEST_CASE("torch reader reads big-endian files", "[container][torch]") {
    const TensorDict tensors = tensors_of("big_endian.pt");
    CHECK(floats(tensors.find("f32")->tensor) == std::vector<float>{0, 1, 2, 3, 4, 5});
    CHECK(floats(tensors.find("transposed")->tensor) == std::vector<float>{0, 3, 1, 4, 2, 5});
}

TEST_CASE("torch reader reads files of before PyTorch 1.6, and storages that are pieces of others",
          "[container][torch]") {
    CHECK(floats(tensors_of("legacy.pt").find("row")->tensor) == std::vector<float>{9, 10, 11});
    CHECK(read_data("legacy.pt").find("args")->attribute("depth")->as_integer() == 2);
    const TensorDict views = tensors_of("legacy_views.pt");
    CHECK(floats(views.find("whole")->tensor) == std::vector<float>{0, 1, 2, 3, 4, 5});
    CHECK(floats(views.find("piece")->tensor) == std::vector<float>{3, 4});
}

TEST_CASE("torch reader reads every protocol of pickle", "[container][torch]") {
    for (const char* name : {"protocol1.pt", "protocol2.pt", "protocol3.pt", "protocol4.pt", "protocol5.pt"}) {
        INFO(name);
        const Value root = read_data(name);
        CHECK(floats(*root.find("a")->get<Tensor>()) == std::vector<float>{0, 1, 2, 3, 4, 5});
        const Value& inner = *root.find("b");
        CHECK(inner.find("c")->get<pickle::Bytes>()->data == "bytes");
        CHECK(inner.find("n")->as_integer() == -1);
        CHECK(inner.find("f")->as_float() == 0.25);
        CHECK(inner.find("t")->get<pickle::Tuple>()->items[0].as_bool() == true);
        CHECK(root.find("s")->get<pickle::Set>()->items[0].as_integer() == 1);
    }
    const Value plain = read_data("protocol0.pt");
    CHECK(*plain.find("s")->as_string() == "Zoë \U0001f600");
    CHECK((*plain.find("l")->items())[0].get<pickle::BigInteger>() != nullptr);
    CHECK((*plain.find("l")->items())[2].as_bool() == true);
    CHECK(plain.find("o")->attribute("depth")->as_integer() == 2);
}

TEST_CASE("torch reader reads plain values and Python's containers", "[container][torch]") {
    const Value root = read_data("containers.pt");
    const Value& args = *root.find("args");
    CHECK(args.get<pickle::Object>()->name == "Namespace");
    CHECK(args.attribute("hidden_size")->as_integer() == 64);
    CHECK(args.attribute("lr")->as_float() == 1e-5);
    CHECK(*args.attribute("name")->as_string() == "tiny");
    CHECK(args.attribute("bf16")->as_bool() == true);
    CHECK(args.attribute("nothing")->is_none());
    CHECK(args.attribute("sizes")->items()->size() == 3);
    CHECK(args.attribute("absent") == nullptr);
    CHECK(root.find("simple")->attribute("depth")->as_integer() == 2);
    CHECK(root.find("ordered")->find("b")->as_integer() == 1);
    CHECK(root.find("default")->find("x")->items()->size() == 1);
    CHECK(root.find("frozen")->get<pickle::Set>()->frozen);
    CHECK(root.find("bytes")->get<pickle::Bytes>()->data == std::string("\0\xFF\x80raw", 6));
    CHECK(root.find("no_bytes")->get<pickle::Bytes>()->data.empty());
    CHECK(*root.find("text")->as_string() == "Zoë – 模型 \U0001f600");
    CHECK(root.find("dtype")->get<pickle::Global>()->name == "bfloat16");
    CHECK(root.find("numpy_scalar")->get<pickle::Object>()->name == "scalar");
    CHECK(root.find("numpy_array")->get<pickle::Object>() != nullptr);
    const auto& integers = *root.find("integers")->items();
    const std::array<std::int64_t, 10> small{
        0,        255, 256, 65535, 65536, -1, -(std::int64_t{1} << 31), std::int64_t{1} << 31, std::int64_t{1} << 62,
        INT64_MIN};
    for (std::size_t i = 0; i < small.size(); ++i) CHECK(integers[i].as_integer() == small[i]);
    for (std::size_t i = small.size(); i < integers.size(); ++i)
        CHECK(integers[i].get<pickle::BigInteger>() != nullptr);
    CHECK(root.entries()->size() == 25);
}

TEST_CASE("torch reader keeps unknown classes as inert objects, and finds tensors in dict-like ones",
          "[container][torch]") {
    const Value root = read_data("unknown.pt");
    const Value& thing = *root.find("thing");
    CHECK(thing.describe() == "an object of private_code.Thing");
    CHECK(thing.attribute("answer")->as_integer() == 42);
    CHECK(thing.attribute("inner")->attribute("weight")->get<Tensor>()->shape() == Shape{2});
    CHECK(*root.find("slotted")->attribute("right")->as_string() == "two");
    CHECK(root.find("names")->get<pickle::Object>()->items.size() == 2);
    CHECK(*root.find("settings")->find("key")->as_string() == "value");
    CHECK(root.find("mode")->get<pickle::Object>()->args.items()->front().as_integer() == 2);
    CHECK(root.find("inner")->get<pickle::Object>()->name == "Outer.Inner");
    CHECK(root.find("builtin")->get<pickle::Object>()->name == "OSError");
    const TensorDict tensors = torch::tensors(root, "unknown.pt");
    REQUIRE(tensors.entries().size() == 2);
    CHECK(tensors.entries()[0].name == "settings.weight");
}

TEST_CASE("torch reader keeps an enum's member that is spelled by getattr", "[container][torch]") {
    const Value mode = *read_data("enum_member.pt").find("mode");
    CHECK(mode.get<pickle::Object>()->construction == pickle::Construction::member);
    CHECK(mode.get<pickle::Object>()->name == "Mode");
    CHECK(*mode.get<pickle::Object>()->args.items()->front().as_string() == "exact");
}

TEST_CASE("torch reader runs nothing", "[container][torch]") {
    const std::filesystem::path trace = "/tmp/crossdock-was-here";
    const Value root = read_data("os_system.pt");
    CHECK(root.find("trap")->get<pickle::Object>()->name == "system");
    CHECK(root.find("after")->as_integer() == 1);
    CHECK_FALSE(std::filesystem::exists(trace));
}

TEST_CASE("torch reader keeps what is shared, and cycles", "[container][torch]") {
    const Value shared = read_data("shared.pt");
    CHECK(shared.find("one")->node() == shared.find("two")->node());
    CHECK(shared.find("first")->node() == shared.find("second")->node());
    const Value cycles = read_data("cycles.pt");
    CHECK((*cycles.find("ring")->items())[1].back_reference() == cycles.find("ring")->node());
    CHECK(cycles.find("parent")->attribute("child")->attribute("parent")->back_reference() ==
          cycles.find("parent")->node());
    CHECK(torch::tensors(cycles, "cycles.pt").entries().size() == 1);
}

TEST_CASE("torch reader reads a deflated pickle, but no deflated tensor", "[container][torch]") {
    CHECK(floats(tensors_of("deflated_pickle.pt").find("a")->tensor) == std::vector<float>{0, 1, 2, 3, 4, 5});
    CHECK_THROWS_WITH(
        read_data("deflated.pt"),
        (data / "torch/deflated.pt").string() +
            ": zip entry 'stored/data/0' is compressed, expected it stored as PyTorch does; save it again "
            "with torch.save");
}

TEST_CASE("torch reader reads nothing but directory and pickle", "[container][torch]") {
    const auto source = std::make_shared<CountingSource>(data / "meta/llama3-gqa-mp2/consolidated.00.pth");
    const TensorDict tensors = torch::tensors(torch::read(source), "x");
    CHECK(tensors.entries().size() == 21);
    CHECK(source->bytes_read < 20000);
    CHECK(source->size() > 140000);
}

TEST_CASE("torch reader's tensors outlive everything else", "[container][torch]") {
    Tensor tensor;
    {
        const TensorDict tensors = tensors_of("tiny.pt");
        tensor = tensors.find("a")->tensor;
    }
    CHECK(floats(tensor) == std::vector<float>{0, 1});
}

TEST_CASE("torch tensors refuses tensors that are not plain ones", "[container][torch]") {
    const std::string reason =
        ") is not of a kind that can be converted; only dense tensors of floats, integers and "
        "bools are";
    CHECK_THROWS_WITH(tensors_of("complex.pt"),
                      "complex.pt: tensor 'z' (torch._utils._rebuild_tensor_v2, pickle offset 164" + reason);
    CHECK_THROWS_WITH(tensors_of("conjugate.pt"),
                      "conjugate.pt: tensor 'c' (torch._utils._rebuild_tensor_v2, pickle offset 180" + reason);
    CHECK_THROWS_WITH(tensors_of("sparse.pt"),
                      "sparse.pt: tensor 's' (torch._utils._rebuild_sparse_tensor, pickle offset 370" + reason);
}

TEST_CASE("torch take_tensors takes tensors out of dicts, and leaves what others refer to", "[container][torch]") {
    const Value tensor(Tensor(DType::f32, Shape{1}, nullptr)), shared(pickle::Dict{{{"w", tensor}}});
    const Value own(pickle::Dict{{{"a", tensor}, {"text", "kept"}, {"b", tensor}}});
    Value root(pickle::Dict{{{"own", Value(pickle::Dict{own.get<pickle::Dict>()->entries})},
                             {"one", shared},
                             {"other", shared},
                             {"c", tensor}}});
    const TensorDict found = torch::tensors(root, "x.pt"), taken = torch::take_tensors(root, "x.pt");
    REQUIRE(found.entries().size() == 5);
    REQUIRE(taken.entries().size() == 5);
    for (std::size_t i = 0; i < 5; ++i) CHECK(taken.entries()[i].name == found.entries()[i].name);
    CHECK(root.entries()->size() == 3);
    CHECK(root.find("own")->entries()->size() == 1);
    CHECK(*root.find("own")->find("text")->as_string() == "kept");
    CHECK(root.find("other")->find("w") != nullptr);
}

TEST_CASE("torch tensors refuses two tensors of one joined name", "[container][torch]") {
    const Value tensor = Tensor(DType::f32, Shape{0}, nullptr);
    const Value root = pickle::Dict{{{"a.b", tensor}, {"a", pickle::Dict{{{"b", tensor}}}}}};
    CHECK_THROWS_WITH(torch::tensors(root, "x.pt"), "x.pt: tensor 'a.b' stands twice, first in x.pt");
}

TEST_CASE("torch tensors refuses dicts that spell more names than there is memory", "[container][torch]") {
    Value level = Tensor(DType::f32, Shape{0}, nullptr);
    for (int depth = 0; depth < 64; ++depth) level = pickle::Dict{{{std::string(10000, 'a'), level}, {"b", level}}};
    CHECK_THROWS_WITH(torch::tensors(level, "x.pt"), "x.pt: its containers spell more names than a checkpoint has");
}

TEST_CASE("torch reader refuses TorchScript, tar and other files", "[container][torch]") {
    CHECK_THROWS_WITH(read_data("torchscript.pt"),
                      (data / "torch/torchscript.pt").string() +
                          ": is a TorchScript program, expected a file of torch.save; save the model's state_dict() "
                          "instead");
    CHECK_THROWS_WITH(read_data("tar.pt"),
                      (data / "torch/tar.pt").string() +
                          ": is a tar file, as PyTorch wrote before 0.1.10; load it there and save it again");
    CHECK(error_of(std::string("{\"a\":1}")) ==
          "memory: is no file of torch.save: it begins neither with PK (zip) nor with PyTorch's magic number");
    CHECK(error_of(std::string()) == "memory: is empty; the download did not finish, get it again");
}

TEST_CASE("torch reader refuses zips that are no torch files", "[container][torch]") {
    const std::string pickle = pickle::write(Value());
    CHECK(error_of(zip_bytes({{"p/data.pkl", pickle}})) ==
          "memory: zip entry 'p/version' is missing; it is no file of torch.save or damaged");
    CHECK(error_of(zip_bytes({{"p/version", "3\n"}})) ==
          "memory: zip entry 'p/data.pkl' is missing; it is no file of torch.save or damaged");
    CHECK(error_of(zip_bytes({{"p/data.pkl", pickle}, {"p/version", "11\n"}})) ==
          "memory: has a version entry that is none of 1 to 10; a newer PyTorch may have written it");
    CHECK(error_of(zip_bytes({{"p/data.pkl", pickle}, {"p/version", "x"}})) ==
          "memory: has a version entry that is none of 1 to 10; a newer PyTorch may have written it");
    CHECK(error_of(zip_bytes({{"p/data.pkl", pickle}, {"p/version", "3"}, {"p/byteorder", "middle"}})) ==
          "memory: has a byteorder entry that is neither little nor big; it is damaged");
}

TEST_CASE("torch reader refuses a tensor that leaves its storage", "[container][torch]") {
    CHECK(error_of(Parts{}) == "none");
    Parts parts;
    parts.offset = 1;
    CHECK(error_of(parts) ==
          "memory: tensor 'w': it reaches to byte 28 of storage '0', which holds 24; the file is damaged");
    CHECK_THROWS_WITH(read_bytes(file_of(parts.value())), Catch::Matchers::ContainsSubstring("'w' (pickle offset "));
    parts = {};
    parts.stride = pickle::Tuple{{4, 1}};
    CHECK(error_of(parts) ==
          "memory: tensor 'w': it reaches to byte 28 of storage '0', which holds 24; the file is damaged");
    parts.stride = pickle::Tuple{{INT64_MAX, INT64_MAX}};
    CHECK(error_of(parts) ==
          "memory: tensor 'w': tensor extent: 9223372036854775808 + 18446744073709551614 overflows 64 bits");
}

TEST_CASE("torch reader refuses sizes that make no tensor", "[container][torch]") {
    Parts parts;
    parts.size = pickle::Tuple{{-1, 3}};
    CHECK(error_of(parts) ==
          "memory: tensor 'w': its size is -1, expected a number that is not negative; the file is damaged");
    parts.size = "wide";
    CHECK(error_of(parts) == "memory: tensor 'w': its size is a str, expected a tuple; the file is damaged");
    parts.size = pickle::Tuple{{2, "x"}};
    CHECK(error_of(parts) ==
          "memory: tensor 'w': its size is a str, expected a number that is not negative; the file is damaged");
    parts.size = pickle::Tuple{{6}};
    CHECK(error_of(parts) == "memory: tensor 'w': it has 1 extents and 2 strides; the file is damaged");
    parts.size = pickle::Tuple{{INT64_MAX, 3}};
    CHECK(error_of(parts) == "memory: tensor 'w': shape: 9223372036854775807 × 3 overflows 64 bits");
    parts.size = pickle::Tuple{{INT64_MAX, 1}};
    parts.stride = pickle::Tuple{{0, 0}};
    CHECK(error_of(parts) == "memory: tensor 'w': tensor bytes: 9223372036854775807 × 4 overflows 64 bits");
    parts = {};
    parts.offset = -1;
    CHECK(error_of(parts) ==
          "memory: tensor 'w': its storage offset is -1, expected a number that is not negative; the file is damaged");
}

TEST_CASE("torch reader refuses storages that are not as the pickle says", "[container][torch]") {
    const Value type = pickle::Global{"torch", "FloatStorage"};
    Parts parts;
    parts.storage = storage_of(type, "0", 5);
    CHECK(error_of(parts) ==
          "memory: tensor 'w': its storage '0' should hold 5 elements of 4 bytes, the file has 24 bytes "
          "for it; the file is damaged");
    parts.storage = storage_of(type, "0", INT64_MAX);
    CHECK(error_of(parts) == "memory: tensor 'w': storage size: 9223372036854775807 × 4 overflows 64 bits");
    parts.storage = storage_of(type, "1", 6);
    CHECK(error_of(parts) == "memory: tensor 'w': its storage, zip entry 'p/data/1', is missing");
    const std::string shape = "expected a persistent id ('storage', class, key, location, size); the file is damaged";
    parts.storage = storage_of("FloatStorage", "0", 6);
    CHECK(error_of(parts) == "memory: tensor 'w': a tensor is made of a persistent id, " + shape);
    parts.storage = 1;
    CHECK(error_of(parts) == "memory: tensor 'w': a tensor is made of an int, " + shape);
    parts.storage = pickle::PersistentId{"0"};
    CHECK(error_of(parts) == "memory: tensor 'w': a tensor is made of a persistent id, " + shape);
}

TEST_CASE("torch reader refuses damaged files of before PyTorch 1.6", "[container][torch]") {
    const std::string whole = bytes_of("legacy_views.pt");
    const std::size_t version = std::string("\x80\x02\x8A\x0A").size() + 11 + 3;
    CHECK(error_of(patched(whole, version, std::uint16_t{1002})) == "memory: has legacy version 1002, expected 1001");
    const std::size_t count = whole.size() - 32;
    CHECK(error_of(patched(whole, count, std::uint64_t{7})) == to_text("memory: storage '70' at offset ", count + 8,
                                                                       " should hold 28 bytes, the file ends at ",
                                                                       whole.size(), "; it is probably truncated"));
    CHECK(
        error_of(patched(whole, count, std::uint64_t{5})) ==
        "memory: tensor 'whole': its storage '70' should hold 6 elements of 4 bytes, the file has 20 bytes for it; the "
        "file is damaged");
    CHECK(error_of(patched(whole, count, UINT64_MAX)) ==
          "memory: storage size: 18446744073709551615 × 4 overflows 64 bits");
    std::string other_key = whole;
    other_key.replace(whole.rfind("70"), 2, "7x");
    CHECK(error_of(other_key) == "memory: holds storage '7x' that no tensor uses; the file is damaged");
}

TEST_CASE("torch reader refuses files that are cut anywhere", "[container][torch]") {
    for (const char* name : {"tiny.pt", "legacy_views.pt", "legacy.pt", "enum_member.pt"}) {
        const std::string whole = bytes_of(name);
        for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
            INFO(name << " of " << bytes << " bytes");
            REQUIRE_THROWS_AS(read_bytes(whole.substr(0, bytes)), Error);
        }
    }
}

TEST_CASE("torch reader survives any byte being another one", "[container][torch]") {
    for (const char* name : {"tiny.pt", "legacy_views.pt", "views.pt"}) {
        const std::string whole = bytes_of(name);
        for (std::size_t at = 0; at < whole.size(); ++at) {
            std::string bytes = whole;
            bytes[at] = static_cast<char>(bytes[at] ^ std::array{1, 0x80, 0xFF}[at % 3]);
            try {
                const TensorDict tensors = torch::tensors(read_bytes(bytes), "x");
                for (const NamedTensor& entry : tensors.entries())
                    if (entry.tensor.element_count() < 1000) entry.tensor.bytes();
            } catch (const Error&) {
                continue;  // the only way to refuse
            }
        }
    }
    SUCCEED();
}
