// SPDX-License-Identifier: MIT
#include "actors/learned_rows.h"

#include "actors/hit_rule.h"
#include "store/byte_io.h"

#include <cmath>

namespace bitnetd::actors {

namespace {

/// Raised when the features or the bins mean something else: then everything is measured anew.
constexpr std::uint8_t version = 2;

template <class Counts, class Each> void for_each_count(Counts& counts, const Each& each) {
  each(counts.decided);
  each(counts.would_serve);
  each(counts.served);
  each(counts.compared);
  each(counts.audited_right);
  each(counts.audited_wrong);
  each(counts.reported_wrong);
}

} // namespace

store::learned_row to_row(const learned_rule& what) {
  store::learned_row out;
  out.name = what.principal + '\0' + what.embedder.hex();
  store::byte_writer writer(out.bytes);
  writer.number(version).text(what.principal).raw(what.embedder.bytes);
  for_each_count(what.counts, [&](std::uint64_t n) { writer.number(n); });
  writer.text(what.calibrator.encode());
  return out;
}

store::learned_row to_row(const learned_entry& what) {
  store::learned_row out;
  out.entry = what.entry;
  store::byte_writer writer(out.bytes);
  writer.number(version).text(what.principal).raw(what.embedder.bytes);
  writer.number(static_cast<std::uint8_t>(what.seen.size()));
  for (const auto& one : what.seen) {
    for (const auto x : one.x)
      writer.real(static_cast<float>(x));
    writer.number(static_cast<std::uint8_t>(one.right));
  }
  return out;
}

std::optional<learned_rule> rule_of(const store::learned_row& row) {
  store::byte_reader reader(row.bytes);
  learned_rule out;
  if (reader.number<std::uint8_t>() != version)
    return std::nullopt;
  out.principal = reader.text();
  reader.raw(out.embedder.bytes);
  for_each_count(out.counts, [&](std::uint64_t& n) { n = reader.number<std::uint64_t>(); });
  const auto bins = reader.text();
  if (!reader.done() || !out.calibrator.decode(bins))
    return std::nullopt;
  return out;
}

std::optional<learned_entry> entry_of(const store::learned_row& row) {
  store::byte_reader reader(row.bytes);
  learned_entry out;
  out.entry = row.entry;
  if (reader.number<std::uint8_t>() != version)
    return std::nullopt;
  out.principal = reader.text();
  reader.raw(out.embedder.bytes);
  const auto n = reader.number<std::uint8_t>();
  if (n > hit_rule::max_observations)
    return std::nullopt;
  for (std::size_t i = 0; i < n; ++i) {
    hit_observation one;
    for (auto& x : one.x) {
      x = static_cast<double>(reader.real());
      if (!std::isfinite(x))
        return std::nullopt;
    }
    one.right = reader.number<std::uint8_t>() != 0;
    out.seen.push_back(one);
  }
  if (!reader.done())
    return std::nullopt;
  return out;
}

} // namespace bitnetd::actors
