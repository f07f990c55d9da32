// SPDX-License-Identifier: MIT
#include "actors/cached_answers.h"

#include <cstring>

namespace bitnetd::actors {

store::cached_answer to_stored(const answer& what) {
  store::cached_answer out;
  out.text = what.text;
  if (!what.embedding.empty()) {
    out.text.resize(what.embedding.size() * sizeof(float));
    std::memcpy(out.text.data(), what.embedding.data(), out.text.size());
  }
  out.finish_reason = what.finish;
  out.tokens.assign(what.tokens.begin(), what.tokens.end());
  out.prompt_tokens = what.used.prompt_tokens;
  out.completion_tokens = what.used.completion_tokens;
  return out;
}

answer from_stored(const store::cached_answer& what, bool embedding) {
  answer out;
  if (embedding) {
    out.embedding.resize(what.text.size() / sizeof(float));
    std::memcpy(out.embedding.data(), what.text.data(), out.embedding.size() * sizeof(float));
  } else {
    out.text = what.text;
  }
  out.finish = what.finish_reason;
  out.tokens.assign(what.tokens.begin(), what.tokens.end());
  out.used.prompt_tokens = what.prompt_tokens;
  out.used.completion_tokens = what.completion_tokens;
  out.used.cached_tokens = what.prompt_tokens;
  return out;
}

} // namespace bitnetd::actors
