// SPDX-License-Identifier: MIT
#include "store/manifest.h"

#include "store/crc32c.h"
#include "store/file_handle.h"

#include <algorithm>
#include <charconv>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace bitnetd::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "MANIFEST-";

/// The number of the MANIFEST that CURRENT names.
std::optional<std::uint64_t> current_manifest(const fs::path& database) {
  std::ifstream file(database / "CURRENT");
  std::string name;
  if (!std::getline(file, name) || !name.starts_with(prefix))
    return std::nullopt;
  std::uint64_t number = 0;
  const auto* end = name.data() + name.size();
  const auto read = std::from_chars(name.data() + prefix.size(), end, number);
  return read.ec == std::errc{} && read.ptr == end ? std::optional(number) : std::nullopt;
}

std::string manifest_name(std::uint64_t number) {
  auto digits = std::to_string(number);
  digits.insert(0, 6 - std::min<std::size_t>(6, digits.size()), '0');
  return std::string(prefix) + digits;
}

/// What `mark` saw, as this file has it; nothing when it has something else.
std::optional<std::string> marked_bytes(const fs::path& file, const manifest_mark& mark) {
  auto bytes = file_handle(file, O_RDONLY).read(0, mark.bytes);
  const bool same = bytes && bytes->size() == mark.bytes && crc32c(*bytes) == mark.crc;
  return same ? std::move(bytes) : std::nullopt;
}

/// What a MANIFEST holds beyond a mark.
struct addition {
  manifest_mark start;
  std::string bytes;

  [[nodiscard]] manifest_mark end() const {
    return {start.number, start.bytes + bytes.size(), crc32c(bytes, start.crc)};
  }
};

/// Of the MANIFEST that CURRENT names: all of it where `known` is about another one.
result<addition> synced_since(const fs::path& database, const manifest_mark& known) {
  const auto number = current_manifest(database);
  if (!number)
    return status(errc::corrupt, (database / "CURRENT").string() + " names no MANIFEST");
  const auto start = known.number == *number ? known : manifest_mark{*number};
  const auto name = manifest_name(*number);
  const file_handle file(database / name, O_RDONLY);
  auto bytes = file.read(start.bytes, UINT64_MAX);
  // RocksDB may be writing to it: what is marked has to be on the disk.
  if (!bytes || !file.sync())
    return failed_with_errno((database / name).string());
  return addition{start, *std::move(bytes)};
}

} // namespace

result<manifest_mark> mark_manifest(const fs::path& database, const manifest_mark& known) {
  const auto added = synced_since(database, known);
  return added ? result<manifest_mark>(added->end()) : added.why();
}

result<manifest_mark> copy_manifest(const fs::path& database, const fs::path& folder,
                                    const manifest_mark& known) {
  const auto added = synced_since(database, known);
  if (!added)
    return added.why();
  const auto name = manifest_name(added->start.number);
  const file_handle copy(folder / name, O_WRONLY | O_CREAT);
  if (!copy.write(added->start.bytes, added->bytes) || !copy.sync())
    return failed_with_errno((folder / name).string());
  if (std::error_code gone; known.number != added->start.number && known.number != 0)
    fs::remove(folder / manifest_name(known.number), gone);
  return added->end();
}

bool manifest_holds(const fs::path& database, const manifest_mark& mark) {
  return current_manifest(database) != mark.number ||
         marked_bytes(database / manifest_name(mark.number), mark);
}

bool restore_manifest(const fs::path& database, const fs::path& folder, const manifest_mark& mark) {
  const auto current = current_manifest(database);
  if (current && current != mark.number)
    return true;
  if (mark.number == 0)
    return false;
  const auto name = manifest_name(mark.number);
  if (!marked_bytes(database / name, mark)) {
    const auto bytes = marked_bytes(folder / name, mark);
    if (!bytes || !std::ofstream(database / name, std::ios::binary)
                       .write(bytes->data(), static_cast<std::streamsize>(bytes->size())))
      return false;
  }
  return current || std::ofstream(database / "CURRENT") << name << '\n';
}

} // namespace bitnetd::store
