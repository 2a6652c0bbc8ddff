// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/shared_text.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::torch {

namespace detail {

/// Collects the tensors of nested containers under joined names.
class Flatten {
public:
    Flatten(std::string file, TensorDict& out) : file_(std::move(file)), out_(out) {}

    /// As visit(), and takes the tensors out of dicts that nobody else refers to. Each of these is met once, so that
    /// nothing is charged for it.
    void take(const pickle::Value& value, const std::string& name) {
        std::vector<pickle::Entry>* entries = own_entries(value);
        if (!entries) return visit(value, name);
        take_apart(*value.tensors_apart(), name);
        auto kept = entries->begin();
        for (pickle::Entry& entry : *entries) {
            pickle::Entry taken = std::exchange(entry, {});
            const std::string path = under(name, key_text(taken.key));
            if (const auto* tensor = taken.value.get<Tensor>()) {
                out_.add({path, *tensor, file_});
            } else {
                take(taken.value, path);
                *kept++ = std::move(taken);
            }
        }
        entries->erase(kept, entries->end());
    }

    void visit(const pickle::Value& value, const std::string& name) {
        charge(name.size() + a_step);
        if (const auto* tensor = value.get<Tensor>()) {
            charge(a_tensor);
            return out_.add({name, *tensor, file_});
        }
        if (const auto* tensors = value.tensors_apart())
            for (const NamedTensor& entry : *tensors) {
                charge(name.size() + entry.name.size() + a_step + a_tensor);
                out_.add({under(name, entry.name), entry.tensor, file_});
            }
        if (const auto* entries = value.entries()) {
            for (const pickle::Entry& entry : *entries) visit_under(name, key_text(entry.key), entry.value);
        } else if (value.get<pickle::List>() || value.get<pickle::Tuple>()) {
            const auto& items = *value.items();
            for (std::size_t index = 0; index < items.size(); ++index)
                if (items[index].node()) visit_under(name, std::to_string(index), items[index]);
        } else if (const auto* object = value.get<pickle::Object>()) {
            refuse_unknown_tensor(*object, name);
        }
    }

private:
    static constexpr std::size_t a_step = 64, a_tensor = 512;  // what they cost in bytes and time, generously

    static std::string under(const std::string& name, const std::string& key) {
        return name.empty() ? key : to_text(name, '.', key);
    }

    /// Those of a dict that were set apart. Mostly they are all that there are, and need not be moved.
    void take_apart(std::vector<NamedTensor>& tensors, const std::string& name) {
        for (NamedTensor& entry : tensors) {
            entry.file = file_;
            if (!name.empty()) entry.name = under(name, entry.name);
        }
        std::vector<NamedTensor> taken = std::exchange(tensors, {});
        if (out_.entries().empty())
            out_ = TensorDict(std::move(taken));
        else
            for (NamedTensor& entry : taken) out_.add(std::move(entry));
    }

    void visit_under(const std::string& name, const std::string& key, const pickle::Value& value) {
        visit(value, under(name, key));
    }

    /// Of a dict that `value` alone refers to; null for anything else.
    static std::vector<pickle::Entry>* own_entries(const pickle::Value& value) {
        if (value.node().use_count() != 1 || !value.entries()) return nullptr;
        auto* dict = value.edit<pickle::Dict>();
        return dict ? &dict->entries : &value.edit<pickle::Object>()->entries;
    }

    static std::string key_text(const pickle::Value& key) {
        if (const std::string* string = key.as_string()) return *string;
        if (const auto number = key.as_integer()) return std::to_string(*number);
        return to_text('<', key.describe(), '>');
    }

    void refuse_unknown_tensor(const pickle::Object& object, const std::string& name) const {
        const bool tensor = (object.module == "torch._utils" || object.module == "torch._tensor") &&
                            object.name.starts_with("_rebuild");
        if (tensor)
            throw Error(to_text(file_, ": tensor '", name, "' (", object.module, '.', object.name, ", pickle offset ",
                                object.offset, ") is not of a kind that can be converted; only dense tensors of ",
                                "floats, integers and bools are"));
    }

    /// Dicts that share their parts may spell far more names than the file has bytes.
    void charge(std::size_t bytes) {
        if (bytes > budget_) throw Error(to_text(file_, ": its containers spell more names than a checkpoint has"));
        budget_ -= bytes;
    }

    SharedText file_;
    TensorDict& out_;
    std::size_t budget_ = std::size_t{1} << 28;
};

}  // namespace detail

/// The tensors that lists, tuples and dicts of any kind hold, their keys joined by dots: {"model": {"a.b": T}} gives
/// "model.a.b". What lies in other objects, a Namespace say, is left out. `file` is what errors name. Throws Error when
/// two tensors get the same name, or when one is sparse, quantised or complex.
inline TensorDict tensors(const pickle::Value& root, const std::string& file) {
    TensorDict out;
    detail::Flatten(file, out).visit(root, "");
    return out;
}

/// The same tensors, taken out of the dicts that hold them: a checkpoint may have a million, and then they are in memory
/// once. What else the dicts hold stays there.
inline TensorDict take_tensors(const pickle::Value& root, const std::string& file) {
    TensorDict out;
    detail::Flatten(file, out).take(root, "");
    return out;
}

}  // namespace crossdock::torch
