// SPDX-License-Identifier: MIT
#include "store/records.h"

#include "store/byte_io.h"
#include "store/envelope.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <type_traits>

namespace bitnetd::store {
namespace {

using nlohmann::json;

status not_decodable(std::string_view what) {
  return {errc::corrupt, std::string(what) + " does not decode although its checksum is right"};
}

json::binary_t binary(const std::array<std::uint8_t, 16>& bytes) {
  return json::binary_t({bytes.begin(), bytes.end()});
}

/// Fills a CBOR map, leaving out what has its default.
class map_writer {
public:
  template <class T> void number(const char* name, T value, T unless = {}) {
    if (value == unless)
      return;
    if constexpr (std::is_enum_v<T>)
      map_[name] = static_cast<std::uint64_t>(value);
    else
      map_[name] = value;
  }
  void text(const char* name, const std::string& value) {
    if (!value.empty())
      map_[name] = value;
  }
  void bytes(const char* name, const std::array<std::uint8_t, 16>& value) {
    map_[name] = binary(value);
  }
  [[nodiscard]] std::string cbor() const {
    std::string out;
    json::to_cbor(map_, out);
    return out;
  }

private:
  json map_ = json::object();
};

/// Reads a CBOR map; a field of another type or out of range makes ok() false. Unknown fields are
/// passed over: a later version may add some without a new schema.
class map_reader {
public:
  explicit map_reader(std::string_view cbor)
      : map_(json::from_cbor(cbor, /*strict=*/true, /*allow_exceptions=*/false)),
        ok_(map_.is_object()) {}

  void number(const char* name, std::int64_t& out) {
    if (const auto* value = find(name))
      if (check(value->is_number_integer()))
        out = value->get<std::int64_t>();
  }
  template <class T> void number(const char* name, T& out, std::uint64_t limit) {
    if (const auto* value = find(name)) {
      if (!check(value->is_number_unsigned()))
        return;
      const auto number = value->get<std::uint64_t>();
      if (check(number <= limit))
        out = static_cast<T>(number);
    }
  }
  void number(const char* name, std::uint32_t& out) { number(name, out, UINT32_MAX); }
  void number(const char* name, std::uint64_t& out) { number(name, out, UINT64_MAX); }
  void flag(const char* name, bool& out) {
    if (const auto* value = find(name))
      if (check(value->is_boolean()))
        out = value->get<bool>();
  }
  void text(const char* name, std::string& out) {
    if (const auto* value = find(name))
      if (check(value->is_string()))
        out = value->get_ref<const std::string&>();
  }
  /// False if there is no such field.
  bool bytes(const char* name, std::array<std::uint8_t, 16>& out) {
    const auto* value = find(name);
    if (value == nullptr || !check(value->is_binary() && value->get_binary().size() == out.size()))
      return false;
    std::copy(value->get_binary().begin(), value->get_binary().end(), out.begin());
    return true;
  }
  bool check(bool good) {
    ok_ = ok_ && good;
    return good;
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }

private:
  const json* find(const char* name) const {
    if (!map_.is_object())
      return nullptr;
    const auto at = map_.find(name);
    return at == map_.end() ? nullptr : &*at;
  }
  json map_;
  bool ok_;
};

} // namespace

std::string encode_job(std::string_view key, const job_record& job) {
  static const job_record unset;
  map_writer map;
  map.bytes("id", job.id.bytes);
  map.text("principal", job.principal);
  if (job.parent)
    map.bytes("parent", job.parent->bytes);
  map.number("index", job.index);
  map.number("is_batch", job.is_batch);
  map.number("items", job.items);
  map.number("parts", job.parts);
  map.number("more", job.more);
  map.text("key", job.key);
  if (job.fingerprint != unset.fingerprint)
    map.bytes("fingerprint", job.fingerprint.bytes);
  map.number("state", job.state);
  map.number("class", job.cls, unset.cls);
  map.number("created", job.created_us);
  map.number("started", job.started_us);
  map.number("ended", job.ended_us);
  map.number("deadline", job.deadline_us);
  map.number("not_before", job.not_before_us);
  map.number("attempts", job.attempts);
  map.number("retention", job.retention_us, unset.retention_us);
  map.text("model", job.model);
  map.text("options", job.options);
  map.text("error", job.error);
  map.number("request_bytes", job.request_bytes);
  map.number("result_bytes", job.result_bytes);
  map.number("output_tokens", job.output_tokens);
  map.number("output_bytes", job.output_bytes);
  return seal(job_schema, key, map.cbor());
}

result<job_record> decode_job(std::string_view key, std::string_view stored) {
  const auto opened = unseal(job_schema, key, stored);
  if (!opened)
    return opened.why();
  map_reader map(opened->payload);
  job_record job;
  map.check(map.bytes("id", job.id.bytes));
  map.text("principal", job.principal);
  job_id parent;
  if (map.bytes("parent", parent.bytes))
    job.parent = parent;
  map.number("index", job.index);
  map.flag("is_batch", job.is_batch);
  map.number("items", job.items);
  map.number("parts", job.parts);
  map.flag("more", job.more);
  map.text("key", job.key);
  map.bytes("fingerprint", job.fingerprint.bytes);
  map.number("state", job.state, n_job_states - 1);
  map.number("class", job.cls, n_job_classes - 1);
  map.number("created", job.created_us);
  map.number("started", job.started_us);
  map.number("ended", job.ended_us);
  map.number("deadline", job.deadline_us);
  map.number("not_before", job.not_before_us);
  map.number("attempts", job.attempts);
  map.number("retention", job.retention_us);
  map.text("model", job.model);
  map.text("options", job.options);
  map.text("error", job.error);
  map.number("request_bytes", job.request_bytes);
  map.number("result_bytes", job.result_bytes);
  map.number("output_tokens", job.output_tokens);
  map.number("output_bytes", job.output_bytes);
  if (!map.ok())
    return not_decodable("a job record");
  return job;
}

std::string encode_blob(std::string_view key, std::string_view bytes) {
  return seal(job_schema, key, bytes);
}

result<std::string> decode_blob(std::string_view key, std::string_view stored) {
  const auto opened = unseal(job_schema, key, stored);
  if (!opened)
    return opened.why();
  return std::string(opened->payload);
}

std::string encode_output(std::string_view key, const output_row& row) {
  std::string payload;
  byte_writer writer(payload);
  writer.number(row.first_token).number(row.offset);
  writer.number(static_cast<std::uint32_t>(row.tokens.size()));
  for (const auto token : row.tokens)
    writer.number(token);
  writer.text(row.text);
  return seal(job_schema, key, payload);
}

result<output_row> decode_output(std::string_view key, std::string_view stored) {
  const auto opened = unseal(job_schema, key, stored);
  if (!opened)
    return opened.why();
  byte_reader reader(opened->payload);
  output_row row;
  row.first_token = reader.number<std::uint64_t>();
  row.offset = reader.number<std::uint64_t>();
  const std::size_t n_tokens = reader.number<std::uint32_t>();
  if (n_tokens > reader.rest().size() / 4)
    return not_decodable("an output row");
  row.tokens.resize(n_tokens);
  for (auto& token : row.tokens)
    token = reader.number<std::uint32_t>();
  row.text = reader.text();
  if (!reader.done())
    return not_decodable("an output row");
  return row;
}

std::string encode_key_entry(std::string_view key, const key_entry& entry) {
  std::string payload;
  byte_writer(payload).raw(entry.job.bytes).raw(entry.fingerprint.bytes).time(entry.until_us);
  return seal(job_schema, key, payload);
}

result<key_entry> decode_key_entry(std::string_view key, std::string_view stored) {
  const auto opened = unseal(job_schema, key, stored);
  if (!opened)
    return opened.why();
  byte_reader reader(opened->payload);
  key_entry entry;
  reader.raw(entry.job.bytes);
  reader.raw(entry.fingerprint.bytes);
  entry.until_us = reader.time();
  if (!reader.done())
    return not_decodable("a key row");
  return entry;
}

std::string encode_totals(std::string_view key, const job_totals& totals) {
  std::string payload;
  byte_writer(payload)
      .number(totals.accepted)
      .number(totals.jobs)
      .number(totals.open)
      .number(totals.bytes);
  return seal(job_schema, key, payload);
}

result<job_totals> decode_totals(std::string_view key, std::string_view stored) {
  const auto opened = unseal(job_schema, key, stored);
  if (!opened)
    return opened.why();
  byte_reader reader(opened->payload);
  job_totals totals;
  totals.accepted = reader.number<std::uint64_t>();
  totals.jobs = reader.number<std::uint64_t>();
  totals.open = reader.number<std::uint64_t>();
  totals.bytes = reader.number<std::uint64_t>();
  if (!reader.done())
    return not_decodable("the totals");
  return totals;
}

std::string encode_loss(std::string_view key, const journal_loss& loss) {
  std::string payload;
  byte_writer(payload)
      .time(loss.found_us)
      .number(loss.accepted_before)
      .number(loss.accepted_found)
      .number(loss.lost_writes);
  return seal(job_schema, key, payload);
}

result<journal_loss> decode_loss(std::string_view key, std::string_view stored) {
  const auto opened = unseal(job_schema, key, stored);
  if (!opened)
    return opened.why();
  byte_reader reader(opened->payload);
  journal_loss loss;
  loss.found_us = reader.time();
  loss.accepted_before = reader.number<std::uint64_t>();
  loss.accepted_found = reader.number<std::uint64_t>();
  loss.lost_writes = reader.number<std::uint64_t>();
  if (!reader.done())
    return not_decodable("a loss");
  return loss;
}

} // namespace bitnetd::store
