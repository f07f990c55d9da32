// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/keys.h"

#include "clients/bitnetctl/exit_codes.h"
#include "clients/bitnetctl/show.h"
#include "conf/client_keys.h"
#include "conf/directories.h"
#include "conf/text_file.h"
#include "conf/value.h"

#include <zmq.h>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <iostream>
#include <system_error>
#include <unistd.h>

namespace bitnetd::ctl {

namespace {

namespace fs = std::filesystem;
using keys_by_line = std::vector<std::pair<std::string, std::uint32_t>>;

constexpr std::size_t most_file_bytes = 64 << 10;

fs::path folder_of(const keys_options& options) {
  const auto file =
      options.config.empty() ? conf::find_config(conf::process_environment()) : options.config;
  return fs::absolute(file).parent_path();
}

fs::path file_of(const keys_options& options) {
  if (!conf::is_name(options.principal))
    throw bad_input("keys: expected the name of a principal (a letter or digit, then letters, "
                    "digits and . _ - : @ +, at most 64)");
  return folder_of(options) / conf::clients_folder /
         (options.principal + std::string{conf::public_ending});
}

keys_by_line keys_in(const fs::path& file) {
  const auto read = conf::read_text(file, most_file_bytes);
  if (!read.text)
    throw bad_input(file.native() + ": " + read.error);
  std::vector<conf::problem> problems;
  auto out = conf::parse_keys(*read.text, file.native(), problems);
  if (!problems.empty())
    throw bad_input(problems.front().text());
  return out;
}

// Writes a new file, which must not exist yet.
void write_new(const fs::path& file, const std::string& text, mode_t mode) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  const bool good =
      fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  if (fd >= 0)
    ::close(fd);
  if (!good)
    throw bad_input(file.native() + ": " + std::system_category().message(error));
}

// The daemon never sees half a file: it is written beside and renamed.
void replace(const fs::path& file, const keys_by_line& keys) {
  std::string text;
  for (const auto& [key, line] : keys)
    text += key + '\n';
  const fs::path fresh = file.native() + ".new";
  fs::remove(fresh);
  write_new(fresh, text, 0644);
  fs::rename(fresh, file);
}

} // namespace

std::string key_from(const std::string& text) {
  if (conf::is_curve_key(text))
    return text;
  auto keys = keys_in(text);
  if (keys.size() != 1)
    throw bad_input(text + ": expected one key of 40 Z85 characters");
  return std::move(keys.front().first);
}

int run_keys_gen(const session& with, const keys_options& options) {
  std::array<char, 41> open{}, secret{};
  if (::zmq_curve_keypair(open.data(), secret.data()) != 0)
    throw bad_input("keys gen: this libzmq was built without CURVE");
  write_new(
      options.file,
      "# Secret key of a bitnetd server or client: whoever reads it can pass for its owner.\n" +
          std::string{secret.data()} + '\n',
      0600);
  write_new(options.file + std::string{conf::public_ending}, std::string{open.data()} + '\n', 0644);
  if (with.as_json)
    print_json({{"secret_file", options.file}, {"public_key", open.data()}});
  else
    std::cout << open.data() << '\n';
  return exit_code::ok;
}

int run_keys_add(const session& with, const keys_options& options) {
  const auto key = key_from(options.key);
  const auto file = file_of(options);
  std::vector<conf::problem> problems;
  const auto known = conf::read_client_keys(folder_of(options), problems);
  if (const auto owner = known.find(key); owner != known.end())
    throw bad_input("keys add: this key is " + owner->second + "'s already");
  fs::create_directories(file.parent_path());
  auto keys = fs::exists(file) ? keys_in(file) : keys_by_line{};
  keys.emplace_back(key, 0);
  replace(file, keys);
  if (with.as_json)
    print_json({{"principal", options.principal}, {"keys", keys.size()}});
  else
    std::cout << options.principal << ": " << keys.size() << (keys.size() == 1 ? " key" : " keys")
              << '\n';
  return exit_code::ok;
}

int run_keys_revoke(const session& with, const keys_options& options) {
  const auto file = file_of(options);
  auto keys = keys_in(file);
  const auto before = keys.size();
  if (options.key.empty())
    keys.clear();
  else
    std::erase_if(keys,
                  [key = key_from(options.key)](const auto& one) { return one.first == key; });
  if (keys.size() == before)
    throw bad_input("keys revoke: " + options.principal + " has no such key");
  if (keys.empty())
    fs::remove(file);
  else
    replace(file, keys);
  if (with.as_json)
    print_json({{"principal", options.principal}, {"revoked", before - keys.size()}});
  else
    std::cout << options.principal << ": " << before - keys.size() << " revoked, " << keys.size()
              << " left\n";
  return exit_code::ok;
}

int run_keys_list(const session& with, const keys_options& options) {
  const auto folder = folder_of(options);
  std::vector<conf::problem> problems;
  const auto known = conf::read_client_keys(folder, problems);
  for (const auto& problem : problems)
    std::cerr << problem.text() << '\n';
  const fs::path server =
      folder / (std::string{conf::server_key_name} + std::string{conf::public_ending});
  std::vector<std::vector<std::string>> rows{{"principal", "public key"}};
  if (fs::exists(server))
    rows.push_back({"(server)", key_from(server.native())});
  for (const auto& [key, principal] : known)
    rows.push_back({principal, key});
  for (std::size_t i = 1; with.as_json && i < rows.size(); ++i)
    print_json({{"principal", rows[i][0]}, {"key", rows[i][1]}});
  if (!with.as_json)
    show_table(std::cout, rows);
  return problems.empty() ? exit_code::ok : exit_code::refused;
}

} // namespace bitnetd::ctl
