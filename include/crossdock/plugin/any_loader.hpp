// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "crossdock/core/dtype.hpp"
#include "crossdock/plugin/concepts.hpp"
#include "crossdock/plugin/storage.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// A loader whose type is known at run time only, such as one that was chosen by name. It is a Loader itself; each
/// function is the loader's own, or does nothing where that leaves it out.
class AnyLoader {
public:
    static constexpr std::string_view kind = "loader";

    AnyLoader() = default;
    AnyLoader(const AnyLoader&) = delete;
    AnyLoader& operator=(const AnyLoader&) = delete;
    virtual ~AnyLoader() = default;

    virtual void will_cast(DType dtype) = 0;
    virtual void begin() = 0;
    virtual ModelHeader header() = 0;
    virtual Storage storage() = 0;
    virtual std::vector<std::string> notices() = 0;
    virtual std::vector<TensorParts> parts(const WantedPlace& wanted) = 0;

    /// Message M, or number `index` of those: load<TransformerLayer>(3). Empty where the loader has no such message.
    template <class M>
    M load(std::uint64_t index = 0) {
        Message message{std::in_place_type<M>};
        fill(message, index);
        return std::get<M>(std::move(message));
    }

protected:
    /// Replaces the message, which is empty, by the loader's of the same type.
    virtual void fill(Message& message, std::uint64_t index) = 0;
};

namespace detail {

/// L as an AnyLoader: its own, or where L is a reference, someone else's.
template <class L>
requires Loader<std::remove_reference_t<L>>
class ErasedLoader final : public AnyLoader {
public:
    template <class... Args>
    explicit ErasedLoader(std::in_place_t, Args&&... args) : loader_(std::forward<Args>(args)...) {}

    void will_cast(DType dtype) override {
        if constexpr (HasWillCast<Plain>) loader_.will_cast(dtype);
    }
    void begin() override {
        if constexpr (LoaderHasBegin<Plain>) loader_.begin();
    }
    ModelHeader header() override { return loader_.header(); }
    Storage storage() override {
        if constexpr (HasStorage<Plain>)
            return loader_.storage();
        else
            return {};
    }
    std::vector<std::string> notices() override {
        if constexpr (HasNotices<Plain>)
            return loader_.notices();
        else
            return {};
    }
    std::vector<TensorParts> parts(const WantedPlace& wanted) override {
        if constexpr (HasParts<Plain>)
            return loader_.parts(wanted);
        else
            return {};
    }

private:
    using Plain = std::remove_reference_t<L>;

    void fill(Message& message, std::uint64_t index) override {
        std::visit(
            [&]<class M>(M& content) {
                if constexpr (!std::same_as<M, ModelHeader>) content = pull(Key<M>{index}, loader_);
            },
            message);
    }

    L loader_;
};

}  // namespace detail

/// A loader known by its options, which keeps what it is made of behind an AnyLoader: the built-in ones are such, so
/// that a compiled library can hold all of them (core/compiled.hpp).
class HeldLoader {
public:
    void will_cast(DType dtype) { loader_->will_cast(dtype); }
    void begin() { loader_->begin(); }
    ModelHeader header() const { return loader_->header(); }
    Storage storage() const { return loader_->storage(); }
    std::vector<std::string> notices() const { return loader_->notices(); }
    std::vector<TensorParts> parts(const WantedPlace& wanted) const { return loader_->parts(wanted); }
    template <class M>
    M load(std::uint64_t index = 0) {
        return loader_->load<M>(index);
    }

    AnyLoader& any() { return *loader_; }
    /// What is held; this object is of no more use.
    std::unique_ptr<AnyLoader> release() { return std::move(loader_); }

protected:
    explicit HeldLoader(std::unique_ptr<AnyLoader> loader) : loader_(std::move(loader)) {}

private:
    std::unique_ptr<AnyLoader> loader_;
};

/// Makes a loader of type L from the arguments of one of its constructors.
template <Loader L, class... Args>
std::unique_ptr<AnyLoader> make_any_loader(Args&&... args) {
    if constexpr (std::derived_from<L, HeldLoader>)
        return L(std::forward<Args>(args)...).release();
    else
        return std::make_unique<detail::ErasedLoader<L>>(std::in_place, std::forward<Args>(args)...);
}

/// The loader as an AnyLoader, which must not outlive it.
template <Loader L>
decltype(auto) as_any_loader(L& loader) {
    if constexpr (std::derived_from<L, HeldLoader>)
        return loader.any();
    else
        return detail::ErasedLoader<L&>(std::in_place, loader);
}
inline AnyLoader& as_any_loader(AnyLoader& loader) { return loader; }

}  // namespace crossdock
