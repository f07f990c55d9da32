// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/commands.h"
#include "clients/bitnet_model/download.h"
#include "clients/bitnet_model/hub.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <unistd.h>

namespace bitnetd::model_tool {

namespace {

struct options {
  std::string repository, revision = "main";
  std::vector<std::string> files;
  std::filesystem::path out;
  unsigned stall_seconds = 30, attempts = 6;
  double wait_seconds = 1;
  bool list = false;
};

std::string variable(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

std::string megabytes(std::uint64_t bytes) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / 1e6 << " MB";
  return out.str();
}

/// One line on a terminal, rewritten as bytes come.
class progress_bar {
public:
  progress_bar(std::string name, std::uint64_t size) : name_{std::move(name)}, size_{size} {}
  ~progress_bar() {
    if (shown_)
      std::cerr << '\n';
  }
  progress_bar(const progress_bar&) = delete;
  progress_bar& operator=(const progress_bar&) = delete;

  void show(std::uint64_t done) {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || (now < next_ && done < size_))
      return;
    next_ = now + std::chrono::milliseconds{200};
    if (!shown_) {
      started_ = now;
      first_ = done;
    }
    shown_ = true;
    constexpr std::size_t width = 30;
    const auto filled = size_ == 0 ? width : static_cast<std::size_t>(done * width / size_);
    const std::chrono::duration<double> passed = now - started_;
    std::cerr << '\r' << name_ << " [" << std::string(filled, '=')
              << std::string(width - filled, ' ') << "] " << megabytes(done) << " of "
              << megabytes(size_);
    if (passed.count() > 0.5)
      std::cerr << ", "
                << megabytes(static_cast<std::uint64_t>(
                       static_cast<double>(done - std::min(done, first_)) / passed.count()))
                << "/s";
    std::cerr << "\x1b[K" << std::flush;
  }

private:
  std::string name_;
  std::uint64_t size_, first_ = 0;
  bool terminal_ = ::isatty(STDERR_FILENO) == 1, shown_ = false;
  std::chrono::steady_clock::time_point next_, started_;
};

void run(const options& chosen) {
  const auto endpoint = variable("HF_ENDPOINT", "https://huggingface.co");
  if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://"))
    throw refused{"HF_ENDPOINT: expected http://… or https://…"};
  http_options how;
  how.token = variable("HF_TOKEN", "");
  how.stall = std::chrono::seconds{chosen.stall_seconds};
  how.only_https = endpoint.starts_with("https://");
  http_client http{how};
  const hub source{http, endpoint, chosen.repository, chosen.revision};
  const auto all = source.list();
  if (chosen.list) {
    for (const auto& file : all)
      std::cout << std::setw(14) << file.size << "  " << file.path << '\n';
    return;
  }
  const auto wanted = choose_files(all, chosen.files);
  const auto name = chosen.repository.substr(chosen.repository.find('/') + 1);
  const auto folder = chosen.out.empty() ? std::filesystem::path{name} : chosen.out;
  for (const auto& file : wanted) {
    progress_bar bar{file.path, file.size};
    download_options each;
    each.attempts = chosen.attempts;
    each.wait = std::chrono::milliseconds{std::llround(1000 * chosen.wait_seconds)};
    each.progress = [&](std::uint64_t done) { bar.show(done); };
    const auto outcome = download_file(http, source.url_of(file), file, folder / file.path, each);
    std::cout << (folder / file.path).string() << ": " << file.size << " bytes, "
              << (outcome == download_outcome::was_there ? "was there" : "checked") << std::endl;
  }
}

} // namespace

void add_pull(CLI::App& app) {
  auto* command = app.add_subcommand(
      "pull", "downloads a model from a hub: resumed where it broke off, size and checksum "
              "compared, files appear whole. HF_ENDPOINT names another hub, HF_TOKEN opens private "
              "and gated ones");
  const auto chosen = std::make_shared<options>();
  command->add_option("REPOSITORY", chosen->repository, "owner/name")->required();
  command->add_option("--revision", chosen->revision, "branch, tag or commit")
      ->capture_default_str();
  command->add_option(
      "--file", chosen->files,
      "a file of the repository; may be repeated (default: all that a model needs)");
  command->add_option("-o,--out", chosen->out, "folder to write to (default: the name)");
  command->add_flag("--list", chosen->list, "only list the files of the repository");
  command
      ->add_option("--stall", chosen->stall_seconds, "seconds without a byte that end a transfer")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->add_option("--attempts", chosen->attempts, "transfers without progress before giving up")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_option("--wait", chosen->wait_seconds, "seconds before the second attempt")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
  command->callback([chosen] { run(*chosen); });
}

} // namespace bitnetd::model_tool
