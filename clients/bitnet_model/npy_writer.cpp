// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/npy_writer.h"

#include <bit>
#include <cassert>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace bitnetd::model_tool {

static_assert(std::endian::native == std::endian::little, "the header says '<f4'");

namespace {

[[noreturn]] void fail(const std::filesystem::path& path) {
  throw std::runtime_error{path.string() +
                           ": cannot be written: " + std::generic_category().message(errno)};
}

} // namespace

npy_writer::npy_writer(std::filesystem::path path, std::size_t rows, std::size_t cols)
    : path_{std::move(path)}, part_{path_.string() + ".part"},
      file_{std::fopen(part_.c_str(), "wb"), &std::fclose}, rows_left_{rows}, cols_{cols} {
  if (file_ == nullptr)
    fail(part_);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                       std::to_string(rows) + ", " + std::to_string(cols) + "), }";
  constexpr std::size_t preamble = 10; // magic, version, length
  header.append(63 - (preamble + header.size()) % 64, ' ').append(1, '\n');
  const std::string magic{"\x93NUMPY\x01\0", 8};
  const char length[2] = {static_cast<char>(header.size() & 255),
                          static_cast<char>(header.size() >> 8)};
  put(magic.data(), magic.size());
  put(length, sizeof length);
  put(header.data(), header.size());
}

npy_writer::~npy_writer() {
  if (file_ == nullptr)
    return;
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove(part_, ignored);
}

void npy_writer::row(std::span<const float> values) {
  assert(values.size() == cols_ && rows_left_ > 0);
  put(values.data(), values.size_bytes());
  --rows_left_;
}

void npy_writer::finish() {
  assert(rows_left_ == 0);
  if (std::fclose(file_.release()) != 0)
    fail(part_);
  std::filesystem::rename(part_, path_);
}

void npy_writer::put(const void* bytes, std::size_t size) {
  if (std::fwrite(bytes, 1, size, file_.get()) != size)
    fail(part_);
}

} // namespace bitnetd::model_tool
