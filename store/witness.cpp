// SPDX-License-Identifier: MIT
#include "store/witness.h"

#include "store/byte_io.h"
#include "store/crc32c.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <string>

namespace bitnetd::store {
namespace {

constexpr std::string_view magic = "BNWITNES";
constexpr std::uint32_t version = 2; // 1: without a MANIFEST
constexpr std::size_t slot_bytes = 64;
constexpr std::size_t slot_distance = 4096; // a torn block takes one slot at most

struct slot {
  std::uint64_t generation = 0;
  witnessed value;
  manifest_mark manifest;
};

std::string encode(const slot& content) {
  std::string out(magic);
  byte_writer writer(out);
  writer.number(version)
      .number(content.generation)
      .number(content.value.sequence)
      .number(content.value.accepted)
      .number(content.manifest.number)
      .number(content.manifest.bytes)
      .number(content.manifest.crc);
  out.resize(slot_bytes - 4, '\0');
  writer.number(crc32c(out));
  return out;
}

std::optional<slot> decode(std::string_view bytes) {
  const auto body = bytes.substr(0, slot_bytes - 4);
  if (byte_reader(bytes.substr(body.size())).number<std::uint32_t>() != crc32c(body))
    return std::nullopt;
  byte_reader reader(body);
  if (reader.take(magic.size()) != magic)
    return std::nullopt;
  const auto written_as = reader.number<std::uint32_t>();
  if (written_as == 0 || written_as > version)
    return std::nullopt;
  slot out;
  out.generation = reader.number<std::uint64_t>();
  out.value.sequence = reader.number<std::uint64_t>();
  out.value.accepted = reader.number<std::uint64_t>();
  // Zeros in version 1.
  out.manifest.number = reader.number<std::uint64_t>();
  out.manifest.bytes = reader.number<std::uint64_t>();
  out.manifest.crc = reader.number<std::uint32_t>();
  return out;
}

} // namespace

witness::witness(const std::filesystem::path& file, std::chrono::milliseconds interval)
    : path_(file), interval_(interval) {
  file_ = file_handle(file, O_RDWR);
  if (!file_.is_open() && (errno == ENOENT || errno == ENOTDIR))
    return;
  if (!file_.is_open())
    throw open_error(errc::io_error, file.string() + ": cannot open: " + std::strerror(errno));
  for (std::size_t i = 0; i < 2; ++i) {
    const auto bytes = file_.read(i * slot_distance, slot_bytes);
    if (!bytes || bytes->size() != slot_bytes)
      continue;
    if (const auto found = decode(*bytes); found && found->generation >= generation_) {
      generation_ = found->generation;
      last_ = found->value;
      manifest_ = found->manifest;
    }
  }
}

witness::~witness() {
  if (file_.is_open())
    (void)file_.sync(); // the slots are written; without this they are only younger
}

witnessed witness::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

manifest_mark witness::manifest() const {
  const std::lock_guard lock(mutex_);
  return manifest_;
}

status witness::update(const witnessed& now) {
  const std::lock_guard lock(mutex_);
  last_ = now;
  return store(false);
}

status witness::update_and_sync(const witnessed& now) {
  const std::lock_guard lock(mutex_);
  last_ = now;
  return store(true);
}

status witness::update_manifest(const manifest_mark& now) {
  const std::lock_guard lock(mutex_);
  manifest_ = now;
  return store(false);
}

status witness::create() {
  file_ = file_handle(path_, O_RDWR | O_CREAT);
  return file_.is_open() ? sync_directory(path_.parent_path())
                         : failed_with_errno("witness: create");
}

status witness::store(bool sync_now) {
  if (!file_.is_open())
    if (auto created = create(); !created)
      return created;
  const auto next = generation_ + 1;
  const auto bytes = encode({next, last_, manifest_});
  if (!file_.write((next % 2) * slot_distance, bytes))
    return failed_with_errno("witness: write");
  generation_ = next;
  const auto time = std::chrono::steady_clock::now();
  if (sync_now || time - synced_at_ >= interval_) {
    if (!file_.sync())
      return failed_with_errno("witness: fdatasync");
    synced_at_ = time;
  }
  return {};
}

} // namespace bitnetd::store
