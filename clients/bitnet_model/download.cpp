// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/download.h"

#include "engine/printable.h"

#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <sys/file.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

namespace bitnetd::model_tool {

namespace fs = std::filesystem;

namespace {

std::string error_text() { return std::generic_category().message(errno); }

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
  throw std::runtime_error{path.string() + ": " + what};
}

/// The file that grows; held by one process at a time.
class part_file {
public:
  explicit part_file(fs::path path) : path_{std::move(path)} {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd_ < 0)
      fail(path_, "cannot be written: " + error_text());
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      ::close(fd_);
      fail(path_, "another pull is writing it");
    }
  }
  ~part_file() { ::close(fd_); }
  part_file(const part_file&) = delete;
  part_file& operator=(const part_file&) = delete;

  [[nodiscard]] std::uint64_t size() const {
    return static_cast<std::uint64_t>(::lseek(fd_, 0, SEEK_END));
  }
  void truncate(std::uint64_t size) {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0)
      fail(path_, "cannot be shortened: " + error_text());
  }
  /// Whether all of it could be written.
  [[nodiscard]] bool write(std::string_view bytes, std::uint64_t at) {
    while (!bytes.empty()) {
      const auto n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
      at += static_cast<std::uint64_t>(n);
    }
    return true;
  }
  void rename_to(const fs::path& target) {
    if (::fsync(fd_) != 0)
      fail(path_, "cannot be written to disk: " + error_text());
    fs::rename(path_, target);
    const int folder = ::open(target.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
      ::fsync(folder);
      ::close(folder);
    }
  }

private:
  fs::path path_;
  int fd_ = -1;
};

std::string hex_digest(const fs::path& path, const EVP_MD* kind, const std::string& before) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash{EVP_MD_CTX_new(),
                                                                     EVP_MD_CTX_free};
  std::ifstream in{path, std::ios::binary};
  std::vector<char> buffer(std::size_t{1} << 20);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  bool good = hash != nullptr && EVP_DigestInit_ex(hash.get(), kind, nullptr) == 1 &&
              EVP_DigestUpdate(hash.get(), before.data(), before.size()) == 1;
  while (good && in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())).gcount() > 0)
    good = EVP_DigestUpdate(hash.get(), buffer.data(), static_cast<std::size_t>(in.gcount())) == 1;
  if (!good || in.bad() || EVP_DigestFinal_ex(hash.get(), digest.data(), &size) != 1)
    fail(path, "cannot be read back to check it");
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    constexpr char digits[] = "0123456789abcdef";
    out.append(1, digits[digest[i] >> 4]).append(1, digits[digest[i] & 15]);
  }
  return out;
}

/// The checksum that the hub has: SHA-256 of large files, git's own of small ones.
bool is_right(const fs::path& path, const hub_file& file) {
  if (!file.sha256.empty())
    return hex_digest(path, EVP_sha256(), {}) == file.sha256;
  const auto head = "blob " + std::to_string(file.size) + std::string(1, '\0');
  return hex_digest(path, EVP_sha1(), head) == file.git_sha;
}

bool is_there(const fs::path& path, const hub_file& file) {
  std::error_code none;
  return fs::is_regular_file(path, none) && fs::file_size(path, none) == file.size &&
         is_right(path, file);
}

void check_room(const fs::path& folder, const hub_file& file, std::uint64_t have) {
  std::error_code unknown;
  const auto space = fs::space(folder, unknown);
  if (!unknown && file.size - have > space.available)
    fail(folder, engine::printable(file.path) + " needs " + std::to_string(file.size - have) +
                     " bytes more; the disk has " + std::to_string(space.available));
}

/// Whether trying again may help.
bool is_passing(const http_result& got) {
  return got.status == 0 || got.status == 200 || got.status == 206 || got.status == 408 ||
         got.status == 416 || got.status == 429 || got.status >= 500;
}

/// One transfer from what is there on.
http_result transfer(http_client& http, const std::string& url, const hub_file& file,
                     part_file& part, const download_options& options) {
  const auto from = part.size();
  std::uint64_t end = from;
  auto got = http.download(url, from, [&](const http_client::piece& piece, std::string& why) {
    if (piece.first != end) { // the server begins anew, or takes up elsewhere
      if (piece.first > end) {
        why = "the server goes on at byte " + std::to_string(piece.first) + " instead of " +
              std::to_string(end);
        return false;
      }
      part.truncate(piece.first);
    }
    end = piece.first + piece.bytes.size();
    if (end > file.size) {
      why = "the server sends more than the " + std::to_string(file.size) + " bytes it announced";
      return false;
    }
    if (!part.write(piece.bytes, piece.first)) {
      why = "cannot be written: " + error_text();
      return false;
    }
    options.progress(end);
    return true;
  });
  if (got.status == 416) // it has no such byte: what is there is not of this file
    part.truncate(0);
  return got;
}

std::string reason(const http_result& got, const hub_file& file, std::uint64_t have) {
  if (!got.error.empty())
    return got.error;
  if (got.status == 200 || got.status == 206)
    return "the server sent " + std::to_string(have) + " of " + std::to_string(file.size) +
           " bytes";
  return "the server answers HTTP " + std::to_string(got.status);
}

} // namespace

download_outcome download_file(http_client& http, const std::string& url, const hub_file& file,
                               const fs::path& target, const download_options& options) {
  fs::create_directories(target.parent_path());
  if (is_there(target, file))
    return download_outcome::was_there;
  const auto part_path = fs::path{target}.concat(".part");
  part_file part{part_path};
  if (part.size() > file.size)
    part.truncate(0);
  check_room(target.parent_path(), file, part.size());
  auto wait = options.wait;
  for (unsigned attempt = 1; part.size() < file.size; ++attempt) {
    const auto before = part.size();
    const auto got = transfer(http, url, file, part, options);
    if (part.size() == file.size && got.error.empty())
      break;
    if (part.size() > before)
      attempt = 1; // it moves
    if (attempt >= options.attempts || !is_passing(got))
      fail(target, reason(got, file, part.size()) + "; what came is kept: pull again to go on");
    std::this_thread::sleep_for(wait);
    wait = std::min(wait * 2, std::chrono::milliseconds{30'000});
  }
  if (!is_right(part_path, file)) {
    fs::remove(part_path);
    fail(target, "its checksum is not the hub's; it was removed: pull again");
  }
  part.rename_to(target);
  return download_outcome::fetched;
}

} // namespace bitnetd::model_tool
