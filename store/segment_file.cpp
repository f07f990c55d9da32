// SPDX-License-Identifier: MIT
#include "store/segment_file.h"

#include "store/byte_io.h"
#include "store/crc32c.h"
#include "store/file_handle.h"
#include "store/quantized_vector.h"

#include <fcntl.h>
#include <fstream>
#include <string>
#include <string_view>

namespace bitnetd::store {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view magic = "bitnetd segment 1\n";
constexpr std::size_t max_rows = std::size_t{1} << 28; // 32-bit numbers in the graph, 2 GiB here
constexpr std::size_t chunk = 1 << 20;

status sync_file(const fs::path& path) {
  return file_handle(path, O_RDWR).sync() ? status{} : failed_with_errno(path.string() + ": sync");
}

/// Length and checksum of a file, read in pieces.
result<std::pair<std::uint64_t, std::uint32_t>> checksum_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return status(errc::not_found, path.string() + ": cannot be opened");
  std::string piece(chunk, '\0');
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
  while (in) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    const auto n = static_cast<std::size_t>(in.gcount());
    crc = crc32c(std::string_view(piece).substr(0, n), crc);
    size += n;
  }
  if (in.bad())
    return status(errc::io_error, path.string() + ": cannot be read");
  return std::pair(size, crc);
}

result<std::string> read_whole(const fs::path& path) {
  std::error_code failed;
  const auto size = fs::file_size(path, failed);
  if (failed)
    return status(errc::not_found, path.string() + ": " + failed.message());
  if (size > max_rows * sizeof(std::uint64_t) + chunk)
    return status(errc::corrupt, path.string() + ": is larger than any header");
  std::string out(size, '\0');
  std::ifstream in(path, std::ios::binary);
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  if (static_cast<std::size_t>(in.gcount()) != out.size())
    return status(errc::io_error, path.string() + ": cannot be read");
  return out;
}

} // namespace

fs::path graph_file_of(const fs::path& file) { return file.string() + ".graph"; }

status write_segment(const fs::path& file, const segment_header& header,
                     const std::function<void(const fs::path&)>& save_graph) {
  const auto graph = graph_file_of(file);
  save_graph(graph);
  if (auto synced = sync_file(graph); !synced)
    return synced;
  const auto of_graph = checksum_of(graph);
  if (!of_graph)
    return of_graph.why();
  std::string bytes(magic);
  byte_writer writer(bytes);
  writer.number(static_cast<std::uint32_t>(header.dimension))
      .number(static_cast<std::uint64_t>(header.entries.size()))
      .number(of_graph->first)
      .number(of_graph->second);
  for (const auto entry : header.entries)
    writer.number(entry);
  writer.number(crc32c(bytes));

  const fs::path unfinished = file.string() + ".new";
  {
    std::ofstream out(unfinished, std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out.flush())
      return {errc::io_error, unfinished.string() + ": cannot be written"};
  }
  if (auto synced = sync_file(unfinished); !synced)
    return synced;
  std::error_code failed;
  fs::rename(unfinished, file, failed);
  if (failed)
    return {errc::io_error, file.string() + ": " + failed.message()};
  return sync_directory(file.parent_path());
}

result<segment_header> read_segment(const fs::path& file) {
  const auto bytes = read_whole(file);
  if (!bytes)
    return bytes.why();
  const auto corrupt = [&](const char* why) {
    return status(errc::corrupt, file.string() + ": " + why);
  };
  if (!bytes->starts_with(magic) || bytes->size() < magic.size() + sizeof(std::uint32_t))
    return corrupt("is not a segment of this version");
  const auto covered = bytes->size() - sizeof(std::uint32_t);
  if (byte_reader(std::string_view(*bytes).substr(covered)).number<std::uint32_t>() !=
      crc32c(std::string_view(*bytes).substr(0, covered)))
    return corrupt("its checksum is wrong");
  byte_reader reader(std::string_view(*bytes).substr(magic.size(), covered - magic.size()));
  segment_header out;
  out.dimension = reader.number<std::uint32_t>();
  const auto n = reader.number<std::uint64_t>();
  const auto graph_size = reader.number<std::uint64_t>();
  const auto graph_crc = reader.number<std::uint32_t>();
  if (out.dimension == 0 || out.dimension > max_dimension || n == 0 || n > max_rows ||
      reader.rest().size() != n * sizeof(std::uint64_t))
    return corrupt("its lengths do not fit");
  out.entries.resize(n);
  for (auto& entry : out.entries)
    entry = reader.number<std::uint64_t>();
  const auto of_graph = checksum_of(graph_file_of(file));
  if (!of_graph)
    return of_graph.why();
  if (of_graph->first != graph_size || of_graph->second != graph_crc)
    return corrupt("the checksum of its graph is wrong");
  return out;
}

void remove_segment(const fs::path& file) noexcept {
  std::error_code ignored;
  fs::remove(file, ignored); // first: without it the graph is nothing
  fs::remove(graph_file_of(file), ignored);
  fs::remove(file.string() + ".new", ignored);
}

} // namespace bitnetd::store
