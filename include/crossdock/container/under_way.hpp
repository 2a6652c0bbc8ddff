// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <mutex>

namespace crossdock {

/// Something that must not be left behind, as long as it lives, even where a program ends without destructors:
/// libraries call std::terminate() where memory lacks in what must not throw, as nlohmann's JSON does, which takes some
/// to destroy its values.
class UnderWay {
public:
    using Remove = void(const void* owner) noexcept;

    /// `remove` takes no memory, no lock, and may be called from any thread.
    UnderWay(Remove& remove, const void* owner) noexcept : remove_(remove), owner_(owner) {
        const std::lock_guard lock(ending);
        earlier_ = latest_.exchange(this);
    }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;
    ~UnderWay() {
        const std::lock_guard lock(ending);
        UnderWay* later = latest_;
        if (later == this) latest_ = earlier_;
        for (; later && later != this; later = later->earlier_)
            if (later->earlier_ == this) later->earlier_ = earlier_;
    }

    /// Whether there is any: whoever ends the process leaves that behind. Any thread.
    static bool any() noexcept { return latest_ != nullptr; }

    /// Removes all of them, for a program that ends here and now. Takes no memory. Other threads that want to end
    /// something wait for ever. Any thread.
    static void remove_all() noexcept {
        ending.lock();
        for (const UnderWay* one = latest_; one; one = one->earlier_) one->remove_(one->owner_);
    }

    /// Held by whoever removes what is under way, or completes it.
    inline static std::mutex ending;
    /// Whether anything was completed since the program began, for its last words.
    inline static std::atomic<bool> is_complete = false;

private:
    inline static std::atomic<UnderWay*> latest_ = nullptr;

    Remove& remove_;
    const void* owner_;
    UnderWay* earlier_ = nullptr;
};

}  // namespace crossdock
