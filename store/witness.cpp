// SPDX-License-Identifier: MIT
#include "store/witness.h"

#include "store/byte_io.h"
#include "store/crc32c.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <string>
#include <unistd.h>

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

status failed(const char* what) {
  const auto code = errno == ENOSPC || errno == EDQUOT ? errc::no_space : errc::io_error;
  return {code, std::string("witness: ") + what + ": " + std::strerror(errno)};
}

/// A new file is found after a loss of power only once its directory is on the disk.
status sync_directory(const std::filesystem::path& directory) {
  const int handle = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  auto done = handle >= 0 && ::fsync(handle) == 0 ? status{} : failed("sync of the directory");
  if (handle >= 0)
    ::close(handle);
  return done;
}

} // namespace

witness::witness(const std::filesystem::path& file, std::chrono::milliseconds interval)
    : path_(file), interval_(interval) {
  file_ = ::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (file_ < 0 && (errno == ENOENT || errno == ENOTDIR))
    return;
  if (file_ < 0)
    throw open_error(errc::io_error, file.string() + ": cannot open: " + std::strerror(errno));
  for (std::size_t i = 0; i < 2; ++i) {
    std::array<char, slot_bytes> bytes{};
    const auto at = static_cast<off_t>(i * slot_distance);
    if (::pread(file_, bytes.data(), bytes.size(), at) != static_cast<ssize_t>(bytes.size()))
      continue;
    if (const auto found = decode({bytes.data(), bytes.size()});
        found && found->generation >= generation_) {
      generation_ = found->generation;
      last_ = found->value;
      manifest_ = found->manifest;
    }
  }
}

witness::~witness() {
  if (file_ >= 0) {
    (void)::fdatasync(file_); // the slots are written; without this they are only younger
    ::close(file_);
  }
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
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  return file_ < 0 ? failed("create") : sync_directory(path_.parent_path());
}

status witness::store(bool sync_now) {
  if (file_ < 0)
    if (auto created = create(); !created)
      return created;
  const auto next = generation_ + 1;
  const auto bytes = encode({next, last_, manifest_});
  const auto at = static_cast<off_t>((next % 2) * slot_distance);
  if (::pwrite(file_, bytes.data(), bytes.size(), at) != static_cast<ssize_t>(bytes.size()))
    return failed("write");
  generation_ = next;
  const auto time = std::chrono::steady_clock::now();
  if (sync_now || time - synced_at_ >= interval_) {
    if (::fdatasync(file_) != 0)
      return failed("fdatasync");
    synced_at_ = time;
  }
  return {};
}

} // namespace bitnetd::store
