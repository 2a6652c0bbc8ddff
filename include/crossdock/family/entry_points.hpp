// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace crossdock {

struct Family;

// The families that come with the library. They are entry points (core/compiled.hpp), defined each in its own header.

const Family& llama_family();
const Family& mistral_family();
const Family& falcon_family();
const Family& gemma_family();
const Family& glm_family();
const Family& gpt2_family();
const Family& qwen_family();
const Family& deepseek_family();
const Family& bert_family();

}  // namespace crossdock
