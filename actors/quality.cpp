// SPDX-License-Identifier: MIT
#include "actors/quality.h"

#include "base/utf8.h"

#include <algorithm>
#include <cmath>

namespace bitnetd::actors {

namespace {

bool unit_length(const std::vector<float>& vector) {
  double sum = 0;
  for (const double x : vector)
    sum += x * x;
  return std::isfinite(sum) && std::abs(sum - 1) < 1e-3;
}

std::vector<std::string> failed_embedding_checks(const answer& what) {
  if (what.embedding.empty())
    return {"empty"};
  if (!unit_length(what.embedding))
    return {"numeric"};
  return {};
}

} // namespace

bool degenerate_repetition(std::string_view text) {
  constexpr std::size_t least_text = 64, longest_piece = 32, least_times = 6;
  if (text.size() < least_text)
    return false;
  const auto tail = text.substr(text.size() / 2);
  for (std::size_t period = 1; period <= longest_piece && period * least_times <= tail.size();
       ++period)
    if (tail.substr(period) == tail.substr(0, tail.size() - period))
      return true;
  return false;
}

std::vector<std::string> failed_checks(const answer& what, const traits& how, job_kind kind) {
  if (kind == job_kind::embedding)
    return failed_embedding_checks(what);
  std::vector<std::string> failed;
  if (utf8_find_invalid(what.text) != std::string_view::npos)
    failed.emplace_back("utf8");
  if (what.text.empty() && how.max_new_tokens > 0)
    failed.emplace_back("empty");
  const bool length_is_true =
      what.finish == "length" && what.used.completion_tokens >= how.max_new_tokens;
  if (what.finish != "stop" && !length_is_true)
    failed.emplace_back("finish");
  if (!std::isfinite(what.mean_logprob))
    failed.emplace_back("numeric");
  else if (!what.tokens.empty() && what.mean_logprob < least_mean_logprob)
    failed.emplace_back("logprob");
  if (degenerate_repetition(what.text))
    failed.emplace_back("repetition");
  if (what.used.completion_tokens != what.tokens.size() ||
      what.used.prompt_tokens != how.tokens.size())
    failed.emplace_back("usage");
  return failed;
}

} // namespace bitnetd::actors
