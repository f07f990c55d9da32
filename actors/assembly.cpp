// SPDX-License-Identifier: MIT
#include "actors/assembly.h"

#include "actors/names.h"
#include "base/fault.h"

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

assembly::assembly(job what) : job_{std::move(what)}, credit_{job_.what->credit} {
  if (!job_.made)
    return;
  tokens_ = job_.made->tokens;
  text_ = job_.made->text;
  may_leave_ = text_.size(); // it came from the journal
  retries_ = job_.made->retries;
}

bool assembly::streams() const noexcept {
  return job_.what->mode == reply_mode::stream && !job_.parent && !job_.recovered;
}

bool assembly::streams_to(const route& client) const noexcept {
  const auto& mine = job_.what->reply_to;
  return streams() && mine.socket == client.socket && mine.peer == client.peer;
}

void assembly::started(job with_trace, std::uint32_t worker, mono_time now) {
  job_ = std::move(with_trace);
  worker_ = worker;
  if (!assigned_)
    assigned_ = now;
}

bool assembly::append(const output& piece, mono_time now) {
  if (piece.first_token != tokens_.size())
    return false;
  if (!first_token_ && !piece.tokens.empty())
    first_token_ = now;
  tokens_.insert(tokens_.end(), piece.tokens.begin(), piece.tokens.end());
  text_ += piece.text;
  logprob_sum_ += piece.logprob_sum;
  if (job_.what->durable)
    unwritten_.push_back(text_.size());
  else
    may_leave_ = text_.size();
  return true;
}

void assembly::written() {
  if (stale_writes_ > 0) {
    --stale_writes_;
  } else if (!unwritten_.empty()) {
    may_leave_ = unwritten_.front();
    unwritten_.pop_front();
  }
}

std::optional<reply_delta> assembly::take_delta() {
  if (!streams() || credit_ == 0 || sent_bytes_ >= may_leave_)
    return std::nullopt;
  reply_delta out;
  out.job = job_.id;
  out.seq = seq_++;
  out.offset = BITNETD_SEEDED_BUG("stale_offset") ? 0 : sent_bytes_;
  out.text = text_.substr(sent_bytes_, may_leave_ - sent_bytes_);
  out.n_tokens = static_cast<std::uint32_t>(tokens_.size() - sent_tokens_);
  sent_bytes_ = may_leave_;
  sent_tokens_ = tokens_.size();
  --credit_;
  return out;
}

void assembly::add_credit(std::uint32_t n) noexcept {
  credit_ = n > UINT32_MAX - credit_ ? UINT32_MAX : credit_ + n;
}

answer assembly::finish(const finished& end) const {
  answer out;
  out.text = text_;
  out.tokens = tokens_;
  out.embedding = end.embedding;
  out.finish = to_string(end.finish);
  out.used.prompt_tokens = static_cast<std::uint32_t>(job_.how->tokens.size());
  out.used.completion_tokens = end.n_tokens;
  out.cost_ms = end.prefill_ms + end.decode_ms;
  const auto earlier = job_.made ? job_.made->tokens.size() : 0; // whose share is not known
  if (tokens_.size() > earlier)
    out.mean_logprob = logprob_sum_ / static_cast<double>(tokens_.size() - earlier);
  return out;
}

void assembly::restart() {
  tokens_.clear();
  text_.clear();
  logprob_sum_ = 0;
  may_leave_ = 0;
  stale_writes_ += unwritten_.size();
  unwritten_.clear();
  worker_.reset();
  job_.made = nullptr;
  ++retries_;
  auto how = *job_.how;
  ++how.sampling.seed;
  job_.how = std::make_shared<const traits>(std::move(how));
}

timing assembly::times(mono_time now, double prefill_ms, double decode_ms) const {
  timing out;
  const auto arrived = job_.what->arrived;
  out.total_ms = ms_between(arrived, now);
  out.queue_ms = assigned_ ? ms_between(arrived, *assigned_) : 0;
  out.first_token_ms = first_token_ ? ms_between(arrived, *first_token_) : out.total_ms;
  out.prefill_ms = prefill_ms;
  out.decode_ms = decode_ms;
  return out;
}

} // namespace bitnetd::actors
