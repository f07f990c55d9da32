// SPDX-License-Identifier: MIT
#pragma once

#include "conf/document.h"
#include "conf/schema.h"

#include <string>
#include <vector>

namespace bitnetd::conf {

/// A key that stands in a file, not yet read.
struct setting {
  const key* k;
  std::string path;  ///< as in models[1].name
  std::size_t index; ///< of the list's element
  mark key_at;
  const node* written; ///< lives as long as the document
};

/// A list that stands in a file.
struct list_setting {
  const list_key* list;
  std::vector<const node*> elements;
  mark at;
};

/// What one document sets.
struct collected {
  std::vector<setting> settings;
  std::vector<list_setting> lists;
};

/// Walks the document along the table of keys. Reports keys that the table does not know (with the
/// nearest one that it knows), keys that stand twice, sections that are no mappings, lists that
/// are no lists or too long, and elements that lack a required key.
[[nodiscard]] collected collect(const node& document, home which, const std::string& file,
                                std::vector<problem>& problems);

} // namespace bitnetd::conf
