// SPDX-License-Identifier: Apache-2.0
#include "crossdock/queue/channel.hpp"

#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <stop_token>
#include <string>
#include <thread>

#include "support/catch.hpp"

using crossdock::Cancelled;
using crossdock::Channel;
using crossdock::Error;

namespace {

std::exception_ptr error_of(const std::string& text) { return std::make_exception_ptr(Error(text)); }

/// The text of an exception; empty for none.
std::string text_of(const std::exception_ptr& error) {
    if (!error) return "";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& caught) {
        return caught.what();
    }
}

/// Receives until the channel ends; the text of the error that ended it.
std::string receive_all(Channel<int>& channel, int& received) {
    try {
        while (const auto message = channel.receive()) ++received;
        return "";
    } catch (const std::exception& error) {
        return error.what();
    }
}

}  // namespace

TEST_CASE("channel hands all messages over and ends without an error", "[queue][channel]") {
    Channel<std::unique_ptr<int>> channel(2);
    REQUIRE(channel.capacity() == 2);
    std::thread sender([&] {
        for (int i = 0; i < 1000; ++i)
            if (!channel.send(std::make_unique<int>(i))) return;
        channel.finish();
    });
    int received = 0, wrong = 0;
    for (; auto message = channel.receive(); ++received) wrong += **message != received;
    sender.join();
    CHECK(received == 1000);
    CHECK(wrong == 0);
    CHECK(channel.error() == nullptr);
    CHECK_NOTHROW(channel.rethrow_error());
}

TEST_CASE("channel hands the loader's error to the saver", "[queue][channel]") {
    for (int round = 0; round < 200; ++round) {
        Channel<int> channel(3);
        std::string caught;
        int received = 0;
        std::thread saver([&] { caught = receive_all(channel, received); });
        for (int i = 0; i < round % 5; ++i) REQUIRE(channel.send(i));
        channel.fail(error_of("model.safetensors: is not there"));
        saver.join();
        REQUIRE(caught == "model.safetensors: is not there");
        REQUIRE(received <= round % 5);
    }
}

TEST_CASE("channel lets an error overtake the messages that wait", "[queue][channel]") {
    Channel<int> channel(3);
    REQUIRE(channel.send(1));
    channel.fail(error_of("broken"));
    CHECK_THROWS_WITH(channel.receive(), "broken");
    CHECK_THROWS_WITH(channel.receive(), "broken");
}

TEST_CASE("channel stops a loader that waits for room when the saver fails", "[queue][channel]") {
    for (int round = 0; round < 200; ++round) {
        Channel<int> channel(2);
        int sent = 0;
        std::thread loader([&] {
            while (channel.send(sent)) ++sent;
        });
        for (int i = 0; i < round % 5; ++i) REQUIRE(channel.receive() == i);
        channel.fail(error_of("disk full"));
        loader.join();
        REQUIRE(sent <= round % 5 + 2);
        REQUIRE(text_of(channel.error()) == "disk full");
    }
}

TEST_CASE("channel refuses a message at every filling once it failed", "[queue][channel]") {
    const int filled = GENERATE(0, 1, 2, 3);
    Channel<int> channel(3);
    for (int i = 0; i < filled; ++i) REQUIRE(channel.send(i));
    channel.fail(error_of("broken"));
    CHECK_FALSE(channel.send(99));
}

TEST_CASE("channel keeps the first of several errors", "[queue][channel]") {
    Channel<int> channel(2);
    channel.fail(error_of("first"));
    channel.fail(error_of("second"));
    channel.cancel();
    CHECK(text_of(channel.error()) == "first");
    CHECK_THROWS_WITH(channel.rethrow_error(), "first");
}

TEST_CASE("channel shows every thread the same error when both sides fail at once", "[queue][channel]") {
    for (int round = 0; round < 200; ++round) {
        Channel<int> channel(1);
        std::string loader_saw, saver_saw;
        std::thread loader([&] {
            channel.fail(error_of("loader"));
            loader_saw = text_of(channel.error());
        });
        std::thread saver([&] {
            channel.fail(error_of("saver"));
            saver_saw = text_of(channel.error());
        });
        loader.join();
        saver.join();
        REQUIRE((loader_saw == "loader" || loader_saw == "saver"));
        REQUIRE(loader_saw == saver_saw);
        REQUIRE(text_of(channel.error()) == loader_saw);
    }
}

TEST_CASE("channel still reports an error that comes after the last message", "[queue][channel]") {
    Channel<int> channel(2);
    REQUIRE(channel.send(1));
    channel.finish();
    REQUIRE(channel.receive() == 1);
    REQUIRE_FALSE(channel.receive().has_value());
    channel.fail(error_of("rename failed"));
    CHECK(text_of(channel.error()) == "rename failed");
}

TEST_CASE("channel wakes both sides when a stop is asked for", "[queue][channel][cancel]") {
    for (int round = 0; round < 300; ++round) {
        Channel<int> channel(static_cast<std::size_t>(1 + round % 3));
        std::stop_source stop;
        const std::stop_callback on_stop(stop.get_token(), [&] { channel.cancel(); });
        int sent = 0, received = 0;
        std::string saver_saw;
        // Round by round: the saver waits for a loader that sends nothing, the loader waits for a saver that takes
        // nothing, both run.
        const bool loader_runs = round % 3 != 0, saver_runs = round % 3 != 1;
        std::thread loader([&] {
            while (loader_runs && channel.send(sent)) ++sent;
        });
        std::thread saver([&] {
            if (saver_runs) saver_saw = receive_all(channel, received);
        });
        for (int turn = 0; turn < round % 10; ++turn) std::this_thread::yield();
        stop.request_stop();
        loader.join();
        saver.join();
        REQUIRE_THROWS_AS(channel.rethrow_error(), Cancelled);
        REQUIRE(saver_saw == (saver_runs ? "cancelled" : ""));
        REQUIRE(received <= sent + 1);
    }
}

TEST_CASE("channel that was cancelled before it is used neither sends nor receives", "[queue][channel][cancel]") {
    Channel<int> channel(2);
    channel.cancel();
    CHECK_FALSE(channel.send(1));
    CHECK_THROWS_AS(channel.receive(), Cancelled);
}

TEST_CASE("channel carries any exception, not only Error", "[queue][channel]") {
    Channel<int> channel(1);
    channel.fail(std::make_exception_ptr(std::bad_alloc()));
    CHECK_THROWS_AS(channel.receive(), std::bad_alloc);
}
