// SPDX-License-Identifier: MIT
#include "engine/hugging_face/sentencepiece.h"

#include "engine/errors.h"

#include <cmath>
#include <cstring>

namespace bitnetd::engine::hugging_face {

namespace {

constexpr std::size_t max_pieces = std::size_t{1} << 24;

/// One field of a protocol-buffer message.
struct field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;  ///< of a varint
  std::uint32_t bits = 0;   ///< of four fixed bytes
  std::string_view content; ///< of what has a length
};

/// Reads a message field by field; every length is checked against what is left.
class message_reader {
public:
  message_reader(std::string_view bytes, const std::string& origin)
      : rest_{bytes}, origin_{origin} {}

  bool next(field& out) {
    if (rest_.empty())
      return false;
    const auto tag = varint();
    out = {.number = tag >> 3, .value = 0, .bits = 0, .content = {}};
    switch (tag & 7) {
    case 0:
      out.value = varint();
      return true;
    case 1:
      (void)take(8);
      return true;
    case 2:
      out.content = take(varint());
      return true;
    case 5:
      std::memcpy(&out.bits, take(4).data(), 4);
      return true;
    default:
      refuse("field " + std::to_string(out.number) + " has a form that SentencePiece does not use");
    }
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw load_error{origin_ + ": " + what};
  }

private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80)
        return value;
    }
    refuse("a number is longer than 64 bits; is this a SentencePiece model?");
  }

  std::string_view take(std::uint64_t size) {
    if (size > rest_.size())
      refuse("ends in the middle of a field; is it a whole SentencePiece model?");
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  const std::string& origin_;
};

// Field numbers of sentencepiece_model.proto.
void read_piece(std::string_view bytes, const std::string& origin, sentencepiece_model& into) {
  message_reader reader{bytes, origin};
  std::string text;
  float score = 0;
  std::int64_t kind = 1; // normal
  for (field f; reader.next(f);) {
    if (f.number == 1)
      text = f.content;
    else if (f.number == 2)
      std::memcpy(&score, &f.bits, sizeof score);
    else if (f.number == 3)
      kind = static_cast<std::int64_t>(f.value);
  }
  if (kind < 1 || kind > 6 || !std::isfinite(score))
    reader.refuse("piece " + std::to_string(into.pieces.size()) + ": its kind or score is invalid");
  if (into.pieces.size() >= max_pieces)
    reader.refuse("more than " + std::to_string(max_pieces) + " pieces");
  into.pieces.push_back(std::move(text));
  into.scores.push_back(score);
  into.kinds.push_back(kind);
}

void read_trainer(std::string_view bytes, const std::string& origin, sentencepiece_model& into) {
  message_reader reader{bytes, origin};
  std::uint64_t type = 1; // unigram
  // Ids are signed: -1 means that there is none.
  const auto id = [](std::uint64_t value) {
    return value < (std::uint64_t{1} << 31) ? std::optional{value} : std::nullopt;
  };
  into.unknown = 0;
  into.bos = 1;
  into.eos = 2;
  for (field f; reader.next(f);) {
    if (f.number == 3)
      type = f.value;
    else if (f.number == 40)
      into.unknown = id(f.value);
    else if (f.number == 41)
      into.bos = id(f.value);
    else if (f.number == 42)
      into.eos = id(f.value);
  }
  if (type != 2)
    reader.refuse("a SentencePiece model of type " + std::to_string(type) +
                  "; only 2 (BPE) is supported");
}

void read_normalizer(std::string_view bytes, const std::string& origin, sentencepiece_model& into) {
  message_reader reader{bytes, origin};
  bool removes_spaces = true, escapes_spaces = true;
  for (field f; reader.next(f);) {
    if (f.number == 2 && !f.content.empty())
      reader.refuse("normalization rules are not supported");
    else if (f.number == 3)
      into.add_space_prefix = f.value != 0;
    else if (f.number == 4)
      removes_spaces = f.value != 0;
    else if (f.number == 5)
      escapes_spaces = f.value != 0;
  }
  if (removes_spaces || !escapes_spaces)
    reader.refuse("a model that removes extra spaces, or keeps spaces as they are, is not "
                  "supported");
}

} // namespace

sentencepiece_model read_sentencepiece(std::string_view bytes, const std::string& origin) {
  sentencepiece_model out;
  message_reader reader{bytes, origin};
  bool trained = false, normalized = false;
  for (field f; reader.next(f);) {
    if (f.number == 1)
      read_piece(f.content, origin, out);
    else if (f.number == 2) {
      read_trainer(f.content, origin, out);
      trained = true;
    } else if (f.number == 3) {
      read_normalizer(f.content, origin, out);
      normalized = true;
    }
  }
  if (out.pieces.empty() || !trained || !normalized)
    reader.refuse("has no pieces or no specification; is it a SentencePiece model?");
  return out;
}

} // namespace bitnetd::engine::hugging_face
