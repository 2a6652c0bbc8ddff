// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/torch/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/zip/reader.hpp"
#include "crossdock/core/source.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using pickle::Value;

namespace {

void put(const std::shared_ptr<TensorSlot>& slot, std::string_view bytes, std::uint64_t at = 0) {
    slot->write(at, std::as_bytes(std::span(bytes)));
}

std::string content(const Tensor& tensor) {
    const auto bytes = tensor.bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::string> keys(const Value& dict) {
    std::vector<std::string> out;
    for (const pickle::Entry& entry : *dict.entries()) out.push_back(*entry.key.as_string());
    return out;
}

}  // namespace

TEST_CASE("torch writer's tensors of every type and shape are read back", "[container][torch]") {
    const TemporaryDirectory directory;
    const std::vector<Shape> shapes{Shape{}, Shape{3}, Shape{2, 3}, Shape{0}, Shape{0, 4}, Shape{4, 0, 2}};
    torch::Writer writer(directory / "x.pt");
    std::vector<std::string> contents;
    for (const DTypeInfo& type : dtype_infos)
        for (const Shape& shape : shapes) {
            const std::size_t bytes = shape.element_count() * type.bytes;
            contents.push_back(std::string(bytes, static_cast<char>('a' + contents.size() % 26)));
            put(writer.add(to_text(type.name, shape), type.dtype, shape), contents.back());
        }
    writer.finish();
    const TensorDict tensors = torch::tensors(torch::read(directory / "x.pt"), "x.pt");
    REQUIRE(tensors.entries().size() == contents.size());
    for (std::size_t i = 0; i < contents.size(); ++i) {
        const Tensor& tensor = tensors.entries()[i].tensor;
        CHECK(tensor.dtype() == dtype_infos[i / shapes.size()].dtype);
        CHECK(tensor.shape() == shapes[i % shapes.size()]);
        CHECK(content(tensor) == contents[i]);
    }
}

TEST_CASE("torch writer separates levels by slashes and keeps their order", "[container][torch]") {
    const TemporaryDirectory directory;
    torch::Writer writer(directory / "x.pt");
    writer.put("checkpoint_version", 3.0);
    put(writer.add("model/encoder/layers.0.weight", DType::u8, Shape{2}), "ab");
    writer.put("iteration", "release");
    put(writer.add("model/head", DType::u8, Shape{1}), "c");
    writer.put("model/encoder/_extra_state", {});
    writer.finish();
    const Value root = torch::read(directory / "x.pt");
    CHECK(keys(root) == std::vector<std::string>{"checkpoint_version", "model", "iteration"});
    CHECK(keys(*root.find("model")) == std::vector<std::string>{"encoder", "head"});
    CHECK(keys(*root.find("model")->find("encoder")) == std::vector<std::string>{"layers.0.weight", "_extra_state"});
    CHECK(root.find("checkpoint_version")->as_float() == 3.0);
    CHECK(content(*root.find("model")->find("encoder")->find("layers.0.weight")->get<Tensor>()) == "ab");
}

TEST_CASE("torch writer writes a Namespace as torch.save does", "[container][torch]") {
    const TemporaryDirectory directory;
    pickle::Object args;
    args.module = "argparse";
    args.name = "Namespace";
    args.construction = pickle::Construction::new_instance;
    args.state = pickle::Dict{{{"hidden_size", 64}, {"sizes", pickle::List{{1, 2}}}}};
    torch::Writer writer(directory / "x.pt");
    writer.put("args", args);
    writer.finish();
    const Value root = torch::read(directory / "x.pt");
    CHECK(root.find("args")->attribute("hidden_size")->as_integer() == 64);
    CHECK(root.find("args")->attribute("sizes")->items()->size() == 2);
}

TEST_CASE("torch writer lets two names share one tensor", "[container][torch]") {
    const TemporaryDirectory directory;
    torch::Writer writer(directory / "x.pt");
    put(writer.add("embed", DType::u8, Shape{2}), "ab");
    writer.share("head", "embed");
    writer.finish();
    const Value root = torch::read(directory / "x.pt");
    CHECK(root.find("head")->node() == root.find("embed")->node());
    CHECK(content(*root.find("head")->get<Tensor>()) == "ab");
}

TEST_CASE("torch writer names its records as torch.save does", "[container][torch]") {
    const TemporaryDirectory directory;
    torch::Writer writer(directory / "consolidated.00.pth");
    put(writer.add("a", DType::u8, Shape{1}), "x");
    writer.finish();
    const zip::Reader reader(std::make_shared<FileSource>(directory / "consolidated.00.pth"));
    for (const char* name : {"data.pkl", "data/0", "version", "byteorder"})
        CHECK(reader.find(to_text("consolidated.00/", std::string_view(name))) != nullptr);
    CHECK(reader.entries().size() == 4);
}

TEST_CASE("torch writer's file is the same for the same content", "[container][torch]") {
    const TemporaryDirectory directory;
    for (const char* folder : {"a", "b"}) {
        std::filesystem::create_directory(directory / folder);
        torch::Writer writer((directory / folder) / "x.pt");
        put(writer.add("m/w", DType::bf16, Shape{2, 2}), "abcdefgh");
        writer.put("iteration", 7);
        writer.finish();
    }
    CHECK(read_file((directory / "a") / "x.pt") == read_file((directory / "b") / "x.pt"));
}

TEST_CASE("torch writer refuses names that are taken or lie inside values", "[container][torch]") {
    const TemporaryDirectory directory;
    torch::Writer writer(directory / "x.pt");
    const std::string file = (directory / "x.pt").string();
    writer.add("m/a", DType::u8, Shape{0});
    CHECK_THROWS_WITH(writer.add("m/a", DType::u8, Shape{0}), file + ": 'm/a' is written twice");
    CHECK_THROWS_WITH(writer.put("m", 1), file + ": 'm' is written twice");
    CHECK_THROWS_WITH(writer.put("m/a/b", 1), file + ": 'm/a' is a value, so nothing can be put into it");
    CHECK_THROWS_WITH(writer.share("n", "none"), file + ": tensor 'n' should share 'none', which was not added");
}

TEST_CASE("torch writer refuses a value that holds a tensor, and an unfilled tensor", "[container][torch]") {
    const TemporaryDirectory directory;
    torch::Writer first(directory / "x.pt"), second(directory / "y.pt");
    first.put("a", pickle::List{{Tensor()}});
    CHECK_THROWS_WITH(first.finish(),
                      (directory / "x.pt").string() +
                          ": a tensor cannot stand inside a value that is written; add it to the file by "
                          "its own name");
    second.add("a", DType::f32, Shape{1});
    CHECK_THROWS_WITH(second.finish(),
                      (directory / "y.pt").string() + ": zip entry 'y/data/0' has not received all of its 4 bytes");
}

TEST_CASE("torch writer hands out a pickle of many tensors in pieces", "[container][torch]") {
    const TemporaryDirectory directory;
    constexpr std::uint64_t count = 3000;  // some 200 KB of pickle
    torch::Writer writer(directory / "x.pt");
    for (std::uint64_t i = 0; i < count; ++i)
        put(writer.add("model/layers." + std::to_string(i) + ".weight", DType::u8, Shape{2}),
            std::to_string(10 + i % 90));
    writer.share("model/last", "model/layers.2999.weight");
    writer.finish();
    if (std::system("unzip -v > /dev/null 2>&1") == 0)
        CHECK(std::system(("unzip -tq " + (directory / "x.pt").string() + " > /dev/null").c_str()) == 0);
    const zip::Reader zip(std::make_shared<FileSource>(directory / "x.pt"));
    CHECK(zip.find("x/data.pkl")->size > 100'000);
    const Value root = torch::read(directory / "x.pt");
    const Value& model = *root.find("model");
    REQUIRE(model.entries()->size() == count + 1);
    for (std::uint64_t i = 0; i < count; ++i) {
        const pickle::Entry& entry = (*model.entries())[i];
        REQUIRE(*entry.key.as_string() == "layers." + std::to_string(i) + ".weight");
        REQUIRE(content(*entry.value.get<Tensor>()) == std::to_string(10 + i % 90));
    }
    CHECK(model.find("last")->node() == model.find("layers.2999.weight")->node());
}
