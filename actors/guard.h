// SPDX-License-Identifier: MIT
#pragma once

#include "base/log.h"

#include <caf/error.hpp>
#include <caf/sec.hpp>

#include <exception>

namespace bitnetd::actors {

/// What an exception says, for logs and replies.
[[nodiscard]] inline std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

/// An exception ends an actor, and CAF says no more than that: this says which and why first.
template <class Self> void log_exceptions(Self* self) {
  self->set_exception_handler([self](std::exception_ptr& error) -> caf::error {
    log::critical("actor {}: {}", self->name(), text_of(error));
    return caf::make_error(caf::sec::runtime_error);
  });
}

} // namespace bitnetd::actors
