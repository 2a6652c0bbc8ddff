// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/children.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/torch/format.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::torch::detail {

/// Where a storage's bytes lie in the file.
struct StoragePlace {
    std::uint64_t offset, bytes;
};

/// A storage as a pickle refers to it: ("storage", class, key, location, element count[, view]).
struct StorageReference {
    std::optional<DType> dtype;  ///< empty: UntypedStorage, which counts bytes, or a type that is not known here
    bool known;                  ///< false: a type that is not known here
    std::string key;
    std::uint64_t count;
    const pickle::Value* view;  ///< None or (key, first element, count), in very old files; null when left out
    std::size_t item_bytes() const { return dtype ? item_size(*dtype) : 1; }
};

inline std::uint64_t size_number(const pickle::Value& value, std::string_view what) {
    const auto number = value.as_integer();
    if (!number || *number < 0)
        throw Error(to_text(what, " is ", number ? std::to_string(*number) : value.describe(),
                            ", expected a number that is not negative; the file is damaged"));
    return static_cast<std::uint64_t>(*number);
}

/// A tuple of extents, or a torch.Size made of one.
inline std::vector<std::uint64_t> size_numbers(const pickle::Value& value, std::string_view what) {
    if (const auto* object = value.get<pickle::Object>(); object && object->module == "torch" && object->name == "Size")
        if (const auto* args = object->args.items(); args && args->size() == 1 && !(*args)[0].get<pickle::Object>())
            return size_numbers((*args)[0], what);
    const auto* items = value.items();
    if (!items) throw Error(to_text(what, " is ", value.describe(), ", expected a tuple; the file is damaged"));
    constexpr std::size_t max_rank = 64;  // as in NumPy; a tuple that many tensors share is copied for each of them
    if (items->size() > max_rank)
        throw Error(to_text(what, " has ", items->size(), " axes, at most ", max_rank, " are read"));
    std::vector<std::uint64_t> numbers;
    for (const pickle::Value& item : *items) numbers.push_back(size_number(item, what));
    return numbers;
}

inline StorageReference parse_storage(const pickle::Value& value) {
    const auto* id = value.get<pickle::PersistentId>();
    const auto* parts = id ? id->id.items() : nullptr;
    const std::string* kind = parts && parts->size() >= 5 ? (*parts)[0].as_string() : nullptr;
    const auto* type = kind ? (*parts)[1].get<pickle::Global>() : nullptr;
    const std::string* key = kind ? (*parts)[2].as_string() : nullptr;
    if (!type || !key || *kind != "storage")
        throw Error(to_text("a tensor is made of ", value.describe(),
                            ", expected a persistent id ('storage', class, key, location, size); the file is damaged"));
    const bool untyped = type->name == "UntypedStorage";
    const auto dtype = storage_dtype(type->name);
    return {dtype, untyped || dtype, *key, size_number((*parts)[4], "a storage's size"),
            parts->size() > 5 ? &(*parts)[5] : nullptr};
}

/// Replaces what a pickle says of tensors by Tensors over the file, in place, so that what was shared stays shared.
/// What it does not know (sparse or quantised tensors, complex numbers) stays an Object.
class Rebuild {
public:
    /// Finds the bytes of a storage; throws Error when they are not there.
    using FindStorage = std::function<StoragePlace(const StorageReference&)>;

    Rebuild(std::shared_ptr<const Source> source, bool big_endian, FindStorage find)
        : source_(std::move(source)),
          big_endian_(big_endian),
          find_(std::move(find)) {}

    /// The tensor that a call makes; nothing when it makes none, or none that can be made: run() says why.
    std::optional<Tensor> attempt(const pickle::Object& object) const {
        try {
            return rebuild(object);
        } catch (const Error&) {
            return std::nullopt;
        }
    }

    /// Throws Error, naming file, tensor and offset in the pickle, when a tensor contradicts the file.
    void run(const pickle::Value& root) { visit(root); }

private:
    using Values = std::vector<pickle::Value>;

    /// One step from the root: a dict's key, or null for an item by its number.
    struct Step {
        const pickle::Value* key;
        std::size_t index;
    };

    void visit(const pickle::Value& value);
    void visit_all(const Values& values);
    void visit_all(const std::vector<pickle::Entry>& entries);
    void visit_object(const pickle::Object& object);
    void visit_at(Step step, const pickle::Value& value);
    std::optional<Tensor> rebuild(const pickle::Object& object) const;
    std::optional<Tensor> call(std::string_view module, std::string_view name, const Values& args) const;
    std::optional<Tensor> tensor(const Values& args, std::optional<DType> dtype) const;
    Tensor view(const Values& args, const StorageReference& storage, DType dtype) const;
    StoragePlace place(const StorageReference& storage) const;
    std::string path() const;

    std::shared_ptr<const Source> source_;
    bool big_endian_;
    FindStorage find_;
    std::unordered_set<const pickle::Node*> seen_;
    std::vector<Step> steps_;
};

inline void Rebuild::visit(const pickle::Value& value) {
    const auto& node = value.node();
    if (!node || pickle::detail::is_leaf(*node) || !seen_.insert(node.get()).second) return;
    if (const auto* entries = value.entries()) visit_all(*entries);
    if (const auto* items = value.items()) visit_all(*items);
    const auto* object = value.get<pickle::Object>();
    if (!object) return;
    visit_object(*object);
    std::optional<Tensor> tensor;
    try {
        tensor = rebuild(*object);
    } catch (Error& error) {
        // What the container says of an entry names the file already.
        const bool complete = std::string_view(error.what()).starts_with(source_->name());
        if (!complete)
            error.within(to_text(source_->name(), ": tensor '", path(), "' (pickle offset ", object->offset, ")"));
        throw;
    }
    if (tensor) node->set(std::move(*tensor));
}

inline void Rebuild::visit_at(Step step, const pickle::Value& value) {
    steps_.push_back(step);
    visit(value);
    steps_.pop_back();
}

inline void Rebuild::visit_all(const Values& values) {
    for (std::size_t index = 0; index < values.size(); ++index) visit_at({nullptr, index}, values[index]);
}

inline void Rebuild::visit_all(const std::vector<pickle::Entry>& entries) {
    for (std::size_t index = 0; index < entries.size(); ++index) {
        visit_at({nullptr, index}, entries[index].key);
        visit_at({&entries[index].key, index}, entries[index].value);
    }
}

inline void Rebuild::visit_object(const pickle::Object& object) {
    visit(object.args);
    visit(object.keywords);
    visit(object.state);
    visit_all(object.items);
}

/// "model.layers.0.weight", cut where a hostile file makes it long.
inline std::string Rebuild::path() const {
    constexpr std::size_t limit = 300;
    std::string out;
    for (const Step& step : steps_) {
        if (out.size() > limit) break;
        if (!out.empty()) out += '.';
        const std::string* key = step.key ? step.key->as_string() : nullptr;
        if (key)
            out += key->substr(0, limit);
        else
            out +=
                std::to_string(step.key ? step.key->as_integer().value_or(0) : static_cast<std::int64_t>(step.index));
    }
    return out;
}

/// Empty when the object is no tensor, or one that is not known here.
inline std::optional<Tensor> Rebuild::rebuild(const pickle::Object& object) const {
    const auto* args = object.args.items();
    return args ? call(object.module, object.name, *args) : std::nullopt;
}

/// The functions of torch/_utils.py and torch/_tensor.py (PyTorch 2.10) that make tensors, by what they are given.
inline std::optional<Tensor> Rebuild::call(std::string_view module, std::string_view name, const Values& args) const {
    const bool utils = module == "torch._utils";
    if (utils && name == "_rebuild_tensor" && args.size() == 4) return tensor(args, std::nullopt);
    if (utils && name == "_rebuild_tensor_v2" && (args.size() == 6 || args.size() == 7)) {
        // Metadata marks tensors whose bytes mean something else: conjugate and negative views.
        const auto* metadata = args.size() == 7 ? args[6].entries() : nullptr;
        return metadata && !metadata->empty() ? std::nullopt : tensor(args, std::nullopt);
    }
    if (utils && name == "_rebuild_tensor_v3" && args.size() >= 7) {
        const auto* type = args[6].get<pickle::Global>();
        const auto dtype = type && type->module == "torch" ? dtype_of_torch_name(type->name) : std::nullopt;
        const auto* metadata = args.size() > 7 ? args[7].entries() : nullptr;
        return !dtype || (metadata && !metadata->empty()) ? std::nullopt : tensor(args, dtype);
    }
    const bool parameter = (utils && (name == "_rebuild_parameter" || name == "_rebuild_parameter_with_state")) ||
                           (module == "torch.nn.parameter" && name == "Parameter");
    if (parameter && !args.empty()) {
        const auto* data = args[0].get<Tensor>();
        return data ? std::optional(*data) : std::nullopt;
    }
    if (module == "torch._tensor" && (name == "_rebuild_from_type" || name == "_rebuild_from_type_v2") &&
        args.size() == 4) {
        const auto* function = args[0].get<pickle::Global>();
        const auto* function_args = args[2].items();
        const bool nested = function && function->module == "torch._tensor";
        if (function && function_args && !nested) return call(function->module, function->name, *function_args);
    }
    return std::nullopt;
}

/// args: storage, offset, size, stride, …; `dtype` is given when the storage does not know it.
inline std::optional<Tensor> Rebuild::tensor(const Values& args, std::optional<DType> dtype) const {
    const StorageReference storage = parse_storage(args[0]);
    if (!storage.known || (!dtype && !storage.dtype)) return std::nullopt;
    return view(args, storage, dtype ? *dtype : *storage.dtype);
}

/// Checks that the view stays inside its storage, however large the numbers are that the pickle gives.
inline Tensor Rebuild::view(const Values& args, const StorageReference& storage, DType dtype) const {
    const std::uint64_t first = size_number(args[1], "its storage offset");
    const Shape shape(size_numbers(args[2], "its size"));
    std::vector<std::uint64_t> strides = size_numbers(args[3], "its stride");
    if (strides.size() != shape.rank())
        throw Error(to_text("it has ", shape.rank(), " extents and ", strides.size(), " strides; the file is damaged"));
    checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
    const StoragePlace bytes = place(storage);
    std::uint64_t end = shape.element_count() == 0 ? 0 : 1;
    for (std::size_t axis = 0; axis < shape.rank() && end > 0; ++axis)
        end = checked_add(end, checked_multiply(shape[axis] - 1, strides[axis], "tensor stride"), "tensor extent");
    const std::uint64_t reach = checked_multiply(checked_add(first, end, "tensor end"), item_size(dtype), "tensor end");
    if (reach > bytes.bytes && end > 0)
        throw Error(to_text("it reaches to byte ", reach, " of storage '", storage.key, "', which holds ", bytes.bytes,
                            "; the file is damaged"));
    const std::uint64_t offset = end > 0 ? bytes.offset + first * item_size(dtype) : bytes.offset;
    const Tensor found = strided_region(source_, offset, dtype, shape, std::move(strides));
    return big_endian_ ? swap_bytes(found) : found;
}

/// The storage's bytes, or those of the piece of it that very old files call a storage of its own.
inline StoragePlace Rebuild::place(const StorageReference& storage) const {
    StoragePlace whole = find_(storage);
    const std::uint64_t item = storage.item_bytes();
    if (checked_multiply(storage.count, item, "storage size") != whole.bytes)
        throw Error(to_text("its storage '", storage.key, "' should hold ", storage.count, " elements of ", item,
                            " bytes, the file has ", whole.bytes, " bytes for it; the file is damaged"));
    const auto* piece = storage.view ? storage.view->items() : nullptr;
    if (!piece) return whole;
    if (piece->size() != 3) throw Error("a view of its storage does not have 3 parts; the file is damaged");
    const std::uint64_t begin = checked_multiply(size_number((*piece)[1], "a storage view's offset"), item, "view");
    const std::uint64_t bytes = checked_multiply(size_number((*piece)[2], "a storage view's size"), item, "view");
    if (begin > whole.bytes || bytes > whole.bytes - begin)
        throw Error(to_text("a view of storage '", storage.key, "' leaves it; the file is damaged"));
    return {whole.offset + begin, bytes};
}

}  // namespace crossdock::torch::detail
