// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/dcp/writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "crossdock/container/dcp/reader.hpp"
#include "crossdock/container/text_file.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

void put(const std::shared_ptr<TensorSlot>& slot, std::string_view bytes, std::uint64_t at = 0) {
    slot->write(at, std::as_bytes(std::span(bytes)));
}

/// The bytes of an item in its file.
std::string item_bytes(const std::filesystem::path& directory, const dcp::Place& place) {
    return read_text(directory / place.file.str()).substr(place.offset, place.length);
}

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
    std::uint32_t number = 0;
    std::memcpy(&number, bytes.data() + at, sizeof number);
    return number;
}

std::size_t count(std::string_view text, std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
    return found;
}

}  // namespace

TEST_CASE("each chunk is a whole zip behind the one before it, its payload at a multiple of 64", "[container][dcp]") {
    const TemporaryDirectory directory;
    dcp::Writer writer(directory.path(), 1);
    const std::vector<std::string> rows{"abcdefgh", "ijklmnop", "qrstuvwx"};
    for (std::uint64_t row = 0; row < rows.size(); ++row)
        put(writer.add_chunk("w", DType::f32, {3, 2}, {row, 0}, {1, 2}), rows[row]);
    writer.put("w._extra_state/shard_0_1", pickle::List{{pickle::Value()}});
    writer.finish();

    const dcp::Metadata metadata = dcp::Reader(directory.path()).metadata();
    REQUIRE(metadata.tensors.size() == 1);
    REQUIRE(metadata.tensors[0].chunks.size() == rows.size());
    const std::string file = read_text(directory / "__0_0.distcp");
    std::uint64_t end = 0;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const dcp::Place& place = metadata.tensors[0].chunks[row].place;
        CHECK(place.file == "__0_0.distcp");
        CHECK(place.offset == end);
        end = place.offset + place.length;
        CHECK(file.find(rows[row]) % 64 == 0);
        CHECK(file.find(rows[row]) < end);

        const std::string item = item_bytes(directory.path(), place);
        CHECK(item.starts_with("PK\x03\x04"));
        CHECK(item.substr(item.size() - 22, 4) == "PK\x05\x06");
        CHECK(number_at(item, item.size() - 6) == item.find("PK\x01\x02"));  // where the directory is, from the item on
        for (const char* name : {"archive/data.pkl", "archive/version", "archive/byteorder", "archive/data/0"})
            CHECK(count(item, name) == 2);  // in its own header and in the directory
        const std::size_t entry = item.rfind("archive/data/0") - 46;
        CHECK(number_at(item, entry + 16) == zip::crc32(std::as_bytes(std::span(rows[row]))));
        CHECK(number_at(item, entry + 24) == rows[row].size());
    }
    REQUIRE(metadata.bytes.size() == 1);
    CHECK(metadata.bytes[0].place.offset == end);
    CHECK(end + metadata.bytes[0].place.length == file.size());
}

TEST_CASE("the index is a pickle of PyTorch's classes and of nothing else", "[container][dcp]") {
    const TemporaryDirectory directory;
    dcp::write_metadata(directory / ".metadata",
                        {.tensors = {{"layers.w",
                                      DType::bf16,
                                      {2, 5'000'000'000},
                                      {{{0, 0}, {1, 5'000'000'000}, {"__0_0.distcp", 0, 10}},
                                       {{1, 0}, {1, 5'000'000'000}, {"__0_1.distcp", 70'000, 300}}}}},
                         .bytes = {{"layers._extra_state/shard_0_2", {"__0_1.distcp", 0, 400}}}});
    const std::string pickle = read_text(directory / ".metadata");
    CHECK(
        pickle.starts_with("\x80\x02"
                           "ctorch.distributed.checkpoint.metadata\nMetadata\n"));
    CHECK(pickle.ends_with("ub."));
    std::vector<std::string> classes;
    for (std::size_t at = pickle.find("ctorch"); at != pickle.npos; at = pickle.find("ctorch", at + 1)) {
        const std::size_t module = pickle.find('\n', at), name = pickle.find('\n', module + 1);
        classes.push_back(pickle.substr(module + 1, name - module - 1));
    }
    CHECK(classes == std::vector<std::string>{"Metadata", "TensorStorageMetadata", "TensorProperties", "bfloat16",
                                              "_get_layout", "_MEM_FORMAT_ENCODING", "Size", "ChunkStorageMetadata",
                                              "BytesStorageMetadata", "MetadataIndex", "_StorageInfo"});
    for (const char* field : {"state_dict_metadata", "planner_data", "storage_data", "storage_meta", "properties",
                              "chunks", "offsets", "sizes", "fqn", "offset", "index", "relative_path", "length"})
        CHECK(count(pickle, std::string("X") + static_cast<char>(std::strlen(field)) + std::string(3, '\0') + field) ==
              1);
    CHECK(count(pickle, "J" + std::string("\x70\x11\x01\0", 4)) == 1);                           // 70,000
    CHECK(count(pickle, "\x8A\x08" + std::string("\x00\xF2\x05\x2A\x01\x00\x00\x00", 8)) == 3);  // 5,000,000,000
}

TEST_CASE("a tensor may be called as a class of PyTorch's is", "[container][dcp]") {
    const TemporaryDirectory directory;
    const std::string name = "torch\nSize\n";
    {
        dcp::Writer writer(directory.path(), 1);
        put(writer.add_chunk("w", DType::u8, {2}, {0}, {2}), "ab");
        put(writer.add_chunk(name, DType::u8, {2}, {0}, {2}), "cd");
        put(writer.add_chunk("x", DType::u8, {2}, {0}, {2}), "ef");
        writer.finish();
    }
    const dcp::Reader reader(directory.path());
    REQUIRE(reader.metadata().tensors.size() == 3);
    CHECK(reader.metadata().tensors[1].name == name);
    CHECK(reader.tensor(reader.metadata().tensors[1]).bytes() ==
          std::vector<std::byte>{std::byte{'c'}, std::byte{'d'}});
}

TEST_CASE("chunks of many tensors go to the least filled file, and are read back", "[container][dcp]") {
    const TemporaryDirectory directory;
    dcp::Writer writer(directory.path(), 3);
    const std::string big(4000, 'b');
    put(writer.add_chunk("big", DType::u8, {4000}, {0}, {4000}), big);
    std::vector<std::shared_ptr<TensorSlot>> slots;
    for (std::uint64_t chunk = 0; chunk < 4; ++chunk)
        slots.push_back(writer.add_chunk("cut", DType::i16, {2, 4}, {chunk / 2, chunk % 2 * 2}, {1, 2}));
    std::vector<std::thread> threads;
    for (std::size_t chunk = 0; chunk < slots.size(); ++chunk)
        threads.emplace_back([&slots, chunk] {
            const std::string value(2, static_cast<char>('0' + chunk));
            put(slots[chunk], value, 2);
            put(slots[chunk], value, 0);
        });
    for (std::thread& thread : threads) thread.join();
    writer.add_chunk("empty", DType::f64, {0, 3}, {0, 0}, {0, 3});
    writer.add_chunk("scalar", DType::f8_e4m3, Shape{}, {}, Shape{})->write(0, std::as_bytes(std::span("x", 1)));
    writer.finish();

    const dcp::Reader reader(directory.path());
    REQUIRE(reader.metadata().tensors.size() == 4);
    CHECK(reader.metadata().tensors[0].chunks[0].place.file == "__0_0.distcp");
    for (const dcp::Chunk& chunk : reader.metadata().tensors[1].chunks) CHECK(chunk.place.file != "__0_0.distcp");
    const auto bytes = reader.tensor(reader.metadata().tensors[1]).bytes();
    CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == "0000111122223333");
    CHECK(reader.tensor(reader.metadata().tensors[2]).shape() == Shape{0, 3});
    CHECK(reader.metadata().tensors[3].dtype == DType::f8_e4m3);
}

TEST_CASE("a checkpoint that is not whole is not finished", "[container][dcp]") {
    const TemporaryDirectory directory;
    const auto why = [&](auto&& add) {
        const TemporaryDirectory target;
        dcp::Writer writer(target.path(), 2);
        add(writer);
        try {
            writer.finish();
        } catch (const Error& error) {
            CHECK(!std::filesystem::exists(target / ".metadata"));
            return std::string(error.what());
        }
        return std::string();
    };
    const auto add = [](dcp::Writer& writer, std::uint64_t row) {
        put(writer.add_chunk("w", DType::u8, {3, 2}, {row, 0}, {1, 2}), "ab");
    };
    CHECK_THAT(why([&](dcp::Writer& writer) { add(writer, 0), add(writer, 2); }),
               ContainsSubstring("tensor 'w'") && ContainsSubstring("missing"));
    CHECK_THAT(why([&](dcp::Writer& writer) { add(writer, 0), add(writer, 1), add(writer, 1); }),
               ContainsSubstring("overlap"));
    CHECK_THAT(why([&](dcp::Writer& writer) {
                   put(writer.add_chunk("w", DType::u8, {1, 8}, {0, 0}, {1, 8}), "abc", 5);
               }),
               ContainsSubstring("chunk [1, 8] at [0, 0] of tensor 'w' lacks 5 of its 8 bytes"));
    CHECK_THROWS_WITH(dcp::Writer(directory.path(), 0), ContainsSubstring("at least 1 file"));
}

TEST_CASE("the index may be written before the bytes have come", "[container][dcp]") {
    const TemporaryDirectory directory;
    const auto files_of = [&](const char* name, bool early) {
        const std::filesystem::path target = directory / name;
        std::filesystem::create_directory(target);
        dcp::Writer writer(target, 2);
        std::vector<std::shared_ptr<TensorSlot>> slots;
        for (std::uint64_t row = 0; row < 3; ++row)
            slots.push_back(writer.add_chunk("w", DType::u8, {3, 2}, {row, 0}, {1, 2}));
        for (const char* value : {"a", "b", "c"}) writer.put(value, 1);
        if (early) writer.write_index();
        CHECK_THROWS_WITH(writer.finish(), ContainsSubstring("lacks 2 of its 2 bytes"));
        for (const auto& slot : slots) put(slot, "xy");
        writer.finish();
        std::string all;
        for (const char* file : {".metadata", "__0_0.distcp", "__0_1.distcp"}) all += read_text(target / file);
        return all;
    };
    CHECK(files_of("early", true) == files_of("late", false));
}

TEST_CASE("chunks must agree on their tensor, and names are used once", "[container][dcp]") {
    const TemporaryDirectory directory;
    dcp::Writer writer(directory.path(), 1);
    writer.add_chunk("w", DType::u8, {3, 2}, {0, 0}, {1, 2});
    CHECK_THROWS_WITH(writer.add_chunk("w", DType::i8, {3, 2}, {1, 0}, {1, 2}),
                      ContainsSubstring("'w' is i8 [3, 2], those before it that it is u8 [3, 2]"));
    CHECK_THROWS_WITH(writer.add_chunk("w", DType::u8, {4, 2}, {1, 0}, {1, 2}), ContainsSubstring("[4, 2]"));
    CHECK_THROWS_WITH(writer.put("w", 1), ContainsSubstring("written twice"));
    writer.put("value", 1);
    CHECK_THROWS_WITH(writer.put("value", 1), ContainsSubstring("written twice"));
    CHECK_THROWS_WITH(writer.add_chunk("value", DType::u8, {1}, {0}, {1}), ContainsSubstring("written twice"));
    const auto slot = writer.add_chunk("once", DType::u8, {2}, {0}, {2});
    put(slot, "ab");
    CHECK_THROWS_WITH(put(slot, "a"), ContainsSubstring("given more"));
}
