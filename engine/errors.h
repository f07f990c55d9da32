// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <string>

namespace bitnetd::engine {

/// A model file or folder was refused. `what()` is one line: file, place, reason, how to mend.
class load_error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace bitnetd::engine
