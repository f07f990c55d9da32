// SPDX-License-Identifier: MIT
#include "engine/gguf.h"

#include "engine/file_input.h"

#include <cassert>
#include <unistd.h>
#include <utility>

namespace bitnetd::engine {

gguf_file::~gguf_file() {
  if (fd_ >= 0)
    ::close(fd_);
}

gguf_file::gguf_file(gguf_file&& other) noexcept { *this = std::move(other); }

gguf_file& gguf_file::operator=(gguf_file&& other) noexcept {
  model_source::operator=(std::move(other));
  std::swap(fd_, other.fd_);
  std::swap(version_, other.version_);
  return *this;
}

void gguf_file::read(const gguf_tensor& tensor, std::uint64_t from,
                     std::span<std::byte> out) const {
  assert(from <= tensor.bytes && out.size() <= tensor.bytes - from);
  read_exactly(fd_, path_, tensor.offset + from, out);
}

} // namespace bitnetd::engine
