// SPDX-License-Identifier: MIT
#include "base/hash.h"

#include <openssl/evp.h>

#include <new>

namespace bitnetd {

std::string hash128::hex() const {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(32);
  for (const auto b : bytes) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

namespace {

// Fetched once: OpenSSL 3 would look its provider up for every hash, which takes as long as hashing
// a prompt.
const EVP_MD* blake2b() {
  static EVP_MD* const fetched = EVP_MD_fetch(nullptr, "BLAKE2B-512", nullptr);
  return fetched != nullptr ? fetched : EVP_blake2b512();
}

} // namespace

struct hasher::state {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  state() {
    if (context == nullptr || EVP_DigestInit_ex(context, blake2b(), nullptr) != 1)
      throw std::bad_alloc{};
  }
  ~state() { EVP_MD_CTX_free(context); }
  state(const state&) = delete;
  state& operator=(const state&) = delete;
  void add(const void* data, std::size_t size) { EVP_DigestUpdate(context, data, size); }
};

hasher::hasher() : state_{std::make_unique<state>()} {}
hasher::~hasher() = default;
hasher::hasher(hasher&&) noexcept = default;
hasher& hasher::operator=(hasher&&) noexcept = default;

hasher& hasher::field(std::span<const std::byte> bytes) {
  const std::uint64_t size = bytes.size();
  state_->add(&size, sizeof size);
  state_->add(bytes.data(), bytes.size());
  return *this;
}

hasher& hasher::field(std::string_view text) {
  return field(std::as_bytes(std::span{text.data(), text.size()}));
}

hasher& hasher::field(std::uint64_t number) { return field(std::as_bytes(std::span{&number, 1})); }

hash128 hasher::finish() {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> full{};
  EVP_DigestFinal_ex(state_->context, full.data(), nullptr);
  hash128 out;
  std::memcpy(out.bytes.data(), full.data(), out.bytes.size());
  return out;
}

hash128 hash_bytes(std::span<const std::byte> bytes) {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> full{};
  if (EVP_Digest(bytes.data(), bytes.size(), full.data(), nullptr, blake2b(), nullptr) != 1)
    throw std::bad_alloc{};
  hash128 out;
  std::memcpy(out.bytes.data(), full.data(), out.bytes.size());
  return out;
}

hash128 hash_bytes(std::string_view text) {
  return hash_bytes(std::as_bytes(std::span{text.data(), text.size()}));
}

} // namespace bitnetd
