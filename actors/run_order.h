// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace bitnetd::actors {

/// A job that waits for a worker, as the order sees it.
struct waiting_job {
  job_id id;
  std::string principal;
  job_class cls = job_class::normal;
  mono_time arrived{};
  std::optional<mono_time> deadline;
  double predicted_ms = 0;
};

/// The order in which waiting jobs go to workers.
///
///  1. What has waited longer than its class allows goes first, oldest first: nothing starves.
///  2. Classes share compute time by weight (stride scheduling): each class has a virtual time that
///     grows by predicted ms / weight when one of its jobs starts; the least goes next.
///  3. Within a class, principals share by the same rule, each with its configured weight.
///  4. Within a principal, the earlier of deadline (else arrival + first-token target); of equals,
///     the shorter.
///
/// A class or principal that was idle starts at the current virtual time, so that it cannot save
/// up. Source: Waldspurger 1995 (stride scheduling); Sheng et al. 2024 (VTC) for rule 3.
class run_order {
public:
  void configure(const conf::profile_config& profile,
                 const std::vector<conf::principal_config>& principals = {});

  void push(waiting_job job);
  /// Removes a waiting job; false when it is not there.
  bool remove(const job_id& id);
  /// The id that would go next and why; empty when nothing waits.
  struct choice {
    job_id id;
    std::string reason;
  };
  [[nodiscard]] std::optional<choice> next(mono_time now) const;
  /// Takes the chosen job out and charges its class and principal.
  void start(const job_id& id);

  /// Jobs whose deadline has passed; they are removed.
  [[nodiscard]] std::vector<job_id> take_expired(mono_time now);

  [[nodiscard]] std::size_t size() const noexcept { return jobs_.size(); }
  [[nodiscard]] double waiting_ms() const noexcept { return waiting_ms_; }
  [[nodiscard]] std::array<std::size_t, store::n_job_classes> per_class() const noexcept;

private:
  using order_key = std::tuple<mono_time, double, job_id>; ///< due, predicted ms, id
  using time_key = std::pair<mono_time, job_id>;
  struct principal_state {
    double virtual_time = 0;
    std::set<order_key> queue;
  };
  struct class_state {
    double virtual_time = 0;
    double principal_clock = 0; ///< virtual time of the last principal served
    double weight = 1;
    std::chrono::milliseconds max_wait{60000};
    std::set<time_key> arrivals; ///< every waiting job of the class, oldest first
    std::map<std::string, principal_state> principals;
  };
  [[nodiscard]] order_key key_of(const waiting_job& job) const noexcept;
  [[nodiscard]] class_state& class_of(const waiting_job& job) noexcept {
    return classes_[static_cast<std::size_t>(job.cls)];
  }

  struct entry {
    waiting_job job;
    order_key key; ///< as it was when the job came: the profile may change meanwhile
  };
  std::map<job_id, entry> jobs_;
  std::set<time_key> deadlines_;
  std::array<class_state, store::n_job_classes> classes_;
  std::map<std::string, double> weights_; ///< of principals that have one; all others 1
  double class_clock_ = 0;
  double waiting_ms_ = 0;
  std::chrono::milliseconds first_token_{2000};
};

} // namespace bitnetd::actors
