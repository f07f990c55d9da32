// SPDX-License-Identifier: MIT
#include "conf/document.h"

#include "base/utf8.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace bitnetd::conf {

namespace {

// Thrown out of yaml-cpp's events to stop at once.
struct refused : std::runtime_error {
  refused(mark where, const std::string& why) : std::runtime_error(why), at(where) {}
  mark at;
};

/// Turns byte offsets into lines and columns.
class places {
public:
  explicit places(std::string_view text) : text_(text) {
    for (std::size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n')
        starts_.push_back(i + 1);
  }

  [[nodiscard]] mark at(std::size_t offset) const {
    offset = std::min(offset, text_.size());
    const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
    const auto start = *(next - 1);
    const auto before = text_.substr(start, offset - start);
    const auto points = std::count_if(before.begin(), before.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    });
    return {static_cast<std::uint32_t>(next - starts_.begin()),
            static_cast<std::uint32_t>(points) + 1};
  }

  [[nodiscard]] mark at(const YAML::Mark& m) const {
    return at(m.pos < 0 ? 0 : static_cast<std::size_t>(m.pos));
  }

private:
  std::string_view text_;
  std::vector<std::size_t> starts_{0};
};

// yaml-cpp takes the end of the file for the closing quote, so that half a file would still parse.
bool quote_closes(std::string_view text, std::size_t offset) {
  if (offset >= text.size() || (text[offset] != '"' && text[offset] != '\''))
    return true; // a block scalar
  const char quote = text[offset];
  for (std::size_t i = offset + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || i + 1 >= text.size() || text[i + 1] != quote)
        return true;
      ++i; // '' is a quote inside
    }
  }
  return false;
}

/// Builds the tree from yaml-cpp's events. Events name an alias instead of expanding it, which is
/// why a small file cannot become a large tree here.
class builder final : public YAML::EventHandler {
public:
  builder(std::string_view text, const places& where, const std::string& file,
          std::vector<problem>& problems, const document_limits& limits)
      : text_(text), where_(where), file_(file), problems_(problems), limits_(limits) {}

  void OnDocumentStart(const YAML::Mark& m) override {
    if (std::exchange(started_, true))
      throw refused(where_.at(m), "a second document starts here; a file holds one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& m, YAML::anchor_t anchor) override {
    add(make(node::kind::nothing, m, anchor, {}));
  }
  void OnAlias(const YAML::Mark& m, YAML::anchor_t) override {
    add(make(node::kind::unusable, m, 0, {}));
    complain(m, "aliases are not supported; write the value out");
  }
  void OnScalar(const YAML::Mark& m, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    auto made = make(node::kind::scalar, m, anchor, tag);
    made.quoted = tag == "!";
    made.text = text;
    if (made.quoted && !quote_closes(text_, static_cast<std::size_t>(m.pos)))
      throw refused(made.at, "this quote is never closed");
    add(std::move(made));
  }
  void OnSequenceStart(const YAML::Mark& m, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(node::kind::list, m, anchor, tag));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& m, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(node::kind::mapping, m, anchor, tag));
  }
  void OnMapEnd() override { close(); }

  [[nodiscard]] std::optional<node> take() { return std::move(root_); }

private:
  // A collection whose end has not come yet; a mapping's key waits for its value.
  struct unfinished {
    node tree;
    std::optional<node> key;
  };

  node make(node::kind what, const YAML::Mark& m, YAML::anchor_t anchor, const std::string& tag) {
    node made;
    made.what = what;
    made.at = where_.at(m);
    if (++n_nodes_ > limits_.nodes)
      throw refused(made.at, "more than " + std::to_string(limits_.nodes) +
                                 " values; a configuration has a few hundred");
    if (anchor != 0)
      complain(m, "anchors are not supported; write the value out where it is needed");
    if (!tag.empty() && tag != "?" && tag != "!")
      complain(m, "tags are not supported; write the plain value");
    return made;
  }

  void complain(const YAML::Mark& m, const std::string& message) {
    const auto at = where_.at(m);
    problems_.push_back({file_, at.line, at.column, {}, message});
  }

  void open(node tree) {
    if (open_.size() >= limits_.depth)
      throw refused(tree.at, "nested deeper than " + std::to_string(limits_.depth) + " levels");
    open_.push_back({std::move(tree), {}});
  }

  void close() {
    auto done = std::move(open_.back().tree);
    open_.pop_back();
    add(std::move(done));
  }

  void add(node made) {
    if (open_.empty()) {
      root_ = std::move(made);
      return;
    }
    auto& [tree, key] = open_.back();
    if (tree.what == node::kind::list) {
      tree.items.push_back(std::move(made));
    } else if (!key) {
      key = std::move(made);
    } else {
      if (made.what == node::kind::nothing)
        made.at = key->at; // yaml-cpp gives the place of whatever comes next
      tree.entries.push_back({std::move(*key), std::move(made)});
      key.reset();
    }
  }

  std::string_view text_;
  const places& where_;
  const std::string& file_;
  std::vector<problem>& problems_;
  const document_limits& limits_;
  bool started_ = false;
  std::size_t n_nodes_ = 0;
  std::vector<unfinished> open_;
  std::optional<node> root_;
};

// What yaml-cpp says, in words that tell how to mend it.
std::string explain(const std::string& message) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> known{{
      {"illegal map value", "a second \": \" on this line, or wrong indentation; quote text that "
                            "contains \": \""},
      {"illegal block entry", "a \"- \" where no list can start; begin it on a line of its own"},
      {"end of sequence flow not found", "a list opened with [ is never closed with ]"},
      {"end of map flow not found", "a mapping opened with { is never closed with }"},
      {"illegal flow end", "a ] or } that closes nothing"},
      {"end of map not found", "this does not continue the mapping above; check the indentation"},
      {"the referenced anchor is not defined", "aliases are not supported; write the value out"},
      {"bad file", "nested too deeply"},
  }};
  for (const auto& [theirs, ours] : known)
    if (message == theirs)
      return std::string{ours};
  return "not valid YAML: " + message;
}

void check_line(std::string_view line, std::size_t start, const places& where,
                const document_limits& limits) {
  if (line.size() > limits.line_bytes)
    throw refused(where.at(start), "the line has " + std::to_string(line.size()) +
                                       " bytes; at most " + std::to_string(limits.line_bytes) +
                                       " are allowed");
  const auto indent = line.find_first_not_of(" \t");
  const auto tab = line.substr(0, indent).find('\t');
  // A tab before a comment or the line's end harms nothing.
  if (tab != std::string_view::npos && indent != std::string_view::npos && line[indent] != '#' &&
      line[indent] != '\r')
    throw refused(where.at(start + tab), "a tab in the indentation; YAML wants spaces");
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    const bool line_end = line[i] == '\r' && i + 1 == line.size();
    if ((byte < 0x20 && line[i] != '\t' && !line_end) || byte == 0x7f)
      throw refused(where.at(start + i), "a control character (byte " + std::to_string(byte) +
                                             "); a configuration is plain text");
  }
}

void check_text(std::string_view text, const places& where, const document_limits& limits) {
  if (text.size() > limits.bytes)
    throw refused({}, "larger than " + std::to_string(limits.bytes >> 10) +
                          " KiB; a configuration has a few");
  if (const auto bad = utf8_find_invalid(text); bad != std::string_view::npos)
    throw refused(where.at(bad), "not UTF-8");
  for (std::size_t start = 0; start < text.size();) {
    const auto end = std::min(text.find('\n', start), text.size());
    check_line(text.substr(start, end - start), start, where, limits);
    start = end + 1;
  }
}

node parse(std::string_view text, builder& events) {
  std::istringstream input{std::string{text}};
  YAML::Parser parser(input);
  parser.HandleNextDocument(events);
  auto root = events.take();
  if (!root || root->what == node::kind::nothing)
    throw refused({}, "the file is empty; write {} to mean that every default holds");
  if (root->what != node::kind::mapping)
    throw refused(root->at, "expected keys with values, one \"key: value\" per line, got " +
                                std::string{root->what == node::kind::list ? "a list" : "text"});
  parser.HandleNextDocument(events); // throws if there is another
  return std::move(*root);
}

} // namespace

std::optional<node> parse_document(std::string_view text, const std::string& file,
                                   std::vector<problem>& problems, const document_limits& limits) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark))
    text.remove_prefix(byte_order_mark.size());
  const places where(text);
  builder events(text, where, file, problems, limits);
  try {
    check_text(text, where, limits);
    return parse(text, events);
  } catch (const refused& e) {
    problems.push_back({file, e.at.line, e.at.column, {}, e.what()});
  } catch (const YAML::Exception& e) {
    const auto at = where.at(e.mark);
    problems.push_back({file, at.line, at.column, {}, explain(e.msg)});
  }
  return std::nullopt;
}

} // namespace bitnetd::conf
