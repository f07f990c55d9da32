// SPDX-License-Identifier: MIT
#include "store/status.h"

namespace bitnetd::store {

std::string_view name(errc code) noexcept {
  switch (code) {
  case errc::ok:
    return "ok";
  case errc::not_found:
    return "not_found";
  case errc::exists:
    return "exists";
  case errc::invalid:
    return "invalid";
  case errc::no_space:
    return "no_space";
  case errc::io_error:
    return "io_error";
  case errc::corrupt:
    return "corrupt";
  case errc::newer_schema:
    return "newer_schema";
  case errc::locked:
    return "locked";
  }
  return "unknown";
}

} // namespace bitnetd::store
