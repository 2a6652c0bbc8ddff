// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/concepts.hpp"
#include "crossdock/plugin/saver_context.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// A saver whose type is known at run time only, such as one that was chosen by name. It is a Saver itself; each
/// function is the saver's own, or does nothing where that leaves it out.
class AnySaver {
public:
    static constexpr std::string_view kind = "saver";

    AnySaver() = default;
    AnySaver(const AnySaver&) = delete;
    AnySaver& operator=(const AnySaver&) = delete;
    virtual ~AnySaver() = default;

    virtual void begin(const SaverContext& context) = 0;
    /// Throws Error where the saver does not take messages of this type.
    virtual void write(const Message& message) = 0;
    virtual void finish() = 0;
    virtual std::vector<std::string> notices() = 0;
    /// Whether the ranks of a world may write one target together: the saver says so by a member `works_in_ranks`.
    virtual bool works_in_ranks() const { return false; }
    /// Whether it can plan a target and write none (SaverContext::staging): the saver says so by a member `plans`.
    virtual bool plans() const { return false; }
};

namespace detail {

/// S as an AnySaver: its own, or where S is a reference, someone else's.
template <class S>
requires Saver<std::remove_reference_t<S>>
class ErasedSaver final : public AnySaver {
public:
    template <class... Args>
    explicit ErasedSaver(std::in_place_t, Args&&... args) : saver_(std::forward<Args>(args)...) {}

    void begin(const SaverContext& context) override {
        if constexpr (SaverHasBegin<Plain>) saver_.begin(context);
    }
    void write(const Message& message) override {
        std::visit(
            [this]<class M>(const M& content) {
                if constexpr (Writes<Plain, M>)
                    saver_.write(content);
                else
                    throw Error(to_text("the saver has no place for '", message_name(content), "'"));
            },
            message);
    }
    void finish() override { saver_.finish(); }
    std::vector<std::string> notices() override {
        if constexpr (HasNotices<Plain>)
            return saver_.notices();
        else
            return {};
    }
    bool works_in_ranks() const override {
        if constexpr (requires { Plain::works_in_ranks; })
            return Plain::works_in_ranks;
        else
            return false;
    }
    bool plans() const override {
        return requires { Plain::plans; };
    }

private:
    using Plain = std::remove_reference_t<S>;

    S saver_;
};

}  // namespace detail

/// A saver known by its options, which keeps what it is made of behind an AnySaver: the built-in ones are such, so that
/// a compiled library can hold all of them (core/compiled.hpp).
class HeldSaver {
public:
    void begin(const SaverContext& context) { saver_->begin(context); }
    template <class M>
    void write(const M& message) {
        saver_->write(Message(message));
    }
    void finish() { saver_->finish(); }
    std::vector<std::string> notices() const { return saver_->notices(); }

    AnySaver& any() { return *saver_; }
    /// What is held; this object is of no more use.
    std::unique_ptr<AnySaver> release() { return std::move(saver_); }

protected:
    explicit HeldSaver(std::unique_ptr<AnySaver> saver) : saver_(std::move(saver)) {}

private:
    std::unique_ptr<AnySaver> saver_;
};

/// Makes a saver of type S from the arguments of one of its constructors.
template <Saver S, class... Args>
std::unique_ptr<AnySaver> make_any_saver(Args&&... args) {
    if constexpr (std::derived_from<S, HeldSaver>)
        return S(std::forward<Args>(args)...).release();
    else
        return std::make_unique<detail::ErasedSaver<S>>(std::in_place, std::forward<Args>(args)...);
}

/// The saver as an AnySaver, which must not outlive it.
template <Saver S>
decltype(auto) as_any_saver(S& saver) {
    if constexpr (std::derived_from<S, HeldSaver>)
        return saver.any();
    else
        return detail::ErasedSaver<S&>(std::in_place, saver);
}
inline AnySaver& as_any_saver(AnySaver& saver) { return saver; }

}  // namespace crossdock
