// SPDX-License-Identifier: MIT
#include "store/job_record.h"

#include <array>

namespace bitnetd::store {
namespace {

constexpr std::array<std::string_view, n_job_states> state_names = {
    "accepted", "queued", "scheduled", "running", "done", "failed", "cancelled", "expired", "dead"};
constexpr std::array<std::string_view, n_job_classes> class_names = {"interactive", "normal",
                                                                     "batch", "background"};

template <class E, std::size_t N>
std::optional<E> find_name(const std::array<std::string_view, N>& names, std::string_view name) {
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == name)
      return static_cast<E>(i);
  return std::nullopt;
}

} // namespace

std::string_view name(job_state state) noexcept {
  return state_names[static_cast<std::size_t>(state)];
}
std::optional<job_state> job_state_from(std::string_view name) noexcept {
  return find_name<job_state>(state_names, name);
}

std::string_view name(job_class cls) noexcept { return class_names[static_cast<std::size_t>(cls)]; }
std::optional<job_class> job_class_from(std::string_view name) noexcept {
  return find_name<job_class>(class_names, name);
}

} // namespace bitnetd::store
