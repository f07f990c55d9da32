// SPDX-License-Identifier: MIT
#include "engine/node.h"

#include "engine/cpu_binding.h"
#include "engine/neighbour_watch.h"

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <tbb/task_scheduler_observer.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

namespace bitnetd::engine {

namespace {

using steady = std::chrono::steady_clock;

/// Tells the CPU that this is a spin loop; after about 20 µs of it, gives way to other threads, so
/// that a preempted partner or a busy neighbour gets the core; says when it is time to sleep.
class backoff {
public:
  void wait() noexcept {
    ++turns_;
    if (turns_ > most_spins) {
      std::this_thread::yield();
      return;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  [[nodiscard]] bool patient() const noexcept { return turns_ < most_spins + most_yields; }

private:
  static constexpr unsigned most_spins = 500, most_yields = 200;
  unsigned turns_ = 0;
};

/// Keeps the helper threads of an arena on the node's CPUs, a little behind everybody else.
class helper_placement final : public tbb::task_scheduler_observer {
public:
  helper_placement(tbb::task_arena& arena, const node_description& where)
      : tbb::task_scheduler_observer{arena}, cpus_{where.cpus}, lower_by_{where.lower_by} {
    turns_.store(1, std::memory_order_release);
    observe(true);
  }
  ~helper_placement() override {
    observe(false); // waits for calls that are under way
    turns_.load(std::memory_order_acquire);
  }

  void on_scheduler_entry(bool is_worker) override {
    if (!is_worker || turns_.load(std::memory_order_acquire) == 0)
      return;
    bind_this_thread(cpus_);
    lower_this_thread(lower_by_);
    turns_.fetch_add(1, std::memory_order_acq_rel);
  }

private:
  const std::vector<int> cpus_;
  const int lower_by_;
  /// oneTBB orders these calls, but thread sanitizer does not see inside it: this it sees.
  std::atomic<unsigned> turns_{0};
};

/// One operation at a time: chunks are claimed by counting `unclaimed` down.
///
/// A claim that succeeds always belongs to the operation that is current at that moment, and that
/// operation cannot end before the claimed chunk is done; so `body` and `n_chunks`, written before
/// `unclaimed` was raised, are safe to read after a claim, and only then.
struct operation_board {
  const std::function<void(std::size_t)>* body = nullptr;
  std::size_t n_chunks = 0;
  alignas(64) std::atomic<std::size_t> unclaimed{0};
  alignas(64) std::atomic<std::size_t> done{0};
  /// Raised with every operation and every end of a step: what a helper sleeps on.
  alignas(64) std::atomic<std::uint32_t> news{0};
  std::atomic<std::uint32_t> sleepers{0};
  steady::duration waited{}; ///< by the caller for helpers, in this step

  /// Runs one chunk, if there is one to claim.
  bool run_one() {
    auto left = unclaimed.load(std::memory_order_acquire);
    do {
      if (left == 0)
        return false;
    } while (!unclaimed.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel,
                                              std::memory_order_acquire));
    (*body)(n_chunks - left);
    done.fetch_add(1, std::memory_order_release);
    return true;
  }

  void run_all(std::size_t n, const std::function<void(std::size_t)>& what) {
    body = &what;
    n_chunks = n;
    done.store(0, std::memory_order_relaxed);
    unclaimed.store(n, std::memory_order_release);
    tell();
    while (run_one()) {
    }
    // Nothing is left to claim: wait for chunks that helpers have in hand, for nobody else.
    if (done.load(std::memory_order_acquire) == n)
      return;
    const auto start = steady::now();
    for (backoff pause; done.load(std::memory_order_acquire) != n;)
      pause.wait();
    waited += steady::now() - start;
  }

  /// Wakes helpers that have gone to sleep, if there are any.
  void tell() noexcept {
    news.fetch_add(1);
    if (sleepers.load() > 0)
      news.notify_all();
  }

  /// Sleeps until something has changed since `seen`.
  void sleep(std::uint32_t seen) noexcept {
    sleepers.fetch_add(1);
    news.wait(seen);
    sleepers.fetch_sub(1);
  }
};

/// What caller and helpers share. A step never waits for a helper that is late; whoever ends the
/// crew does, and plays those that have not come yet himself.
class crew {
public:
  explicit crew(std::size_t most_helpers) : watch_{most_helpers} {}

  operation_board board;

  [[nodiscard]] bool running() const noexcept { return running_.load(std::memory_order_relaxed); }
  void end_step() noexcept {
    running_.store(false);
    board.tell();
    const auto now = steady::now();
    watch_.step_ended(now, now - started_, board.waited);
  }

  /// Begins a step and asks for the helpers that are missing. Those of the last step that have not
  /// gone yet stay.
  void begin_step(tbb::task_arena& arena) {
    started_ = steady::now();
    board.waited = {};
    wanted_.store(watch_.helpers(started_));
    running_.store(true);
    while (join()) {
      on_their_way_.fetch_add(1, std::memory_order_relaxed);
      arena.enqueue(arrivals_.defer(arrival{this}));
    }
  }

  /// Ends the crew: helpers that are there go; those still in the arena's queue, for which no
  /// thread was free, are run by the caller and go at once.
  void dismiss(tbb::task_arena& arena) {
    arena.execute([this] { arrivals_.wait(); });
    while (on_their_way_.load(std::memory_order_acquire) != 0) // what thread sanitizer sees of it
      std::this_thread::yield();
  }

private:
  /// A helper's task. It lies in oneTBB's memory and comes over oneTBB's queues, whose order thread
  /// sanitizer does not see; from help() on everything goes through our own atomics.
  struct arrival {
    crew* to;
    __attribute__((no_sanitize("thread"))) void operator()() const { to->help(); }
  };

  /// Counts one more helper in, if there is room.
  bool join() noexcept {
    auto here = n_helpers_.load();
    while (here < wanted_.load())
      if (n_helpers_.compare_exchange_weak(here, here + 1))
        return true;
    return false;
  }

  /// Chunks of whatever operation is current, until the step ends. Whoever leaves looks once more:
  /// the next step may have begun and counted him as here.
  void help() noexcept {
    do {
      for (backoff pause; running_.load();) {
        const auto seen = board.news.load();
        if (board.run_one())
          pause = {};
        else if (pause.patient())
          pause.wait();
        else if (running_.load())
          board.sleep(seen);
      }
      n_helpers_.fetch_sub(1);
    } while (running_.load() && join());
    on_their_way_.fetch_sub(1, std::memory_order_release);
  }

  neighbour_watch watch_;                 ///< the caller's
  steady::time_point started_;            ///< the caller's
  std::atomic<std::size_t> wanted_{0};    ///< helpers of this step
  std::atomic<bool> running_{false};      ///< between begin and end of a step
  std::atomic<std::size_t> n_helpers_{0}; ///< asked for or here
  std::atomic<std::size_t> on_their_way_{0};
  tbb::task_group arrivals_;
};

} // namespace

struct compute_node::state {
  node_description where;
  std::size_t threads = 1;
  // None of these with one thread.
  std::unique_ptr<tbb::global_control> more_threads; ///< when there are more threads than CPUs
  std::unique_ptr<tbb::task_arena> arena;
  std::unique_ptr<helper_placement> placement;
  std::unique_ptr<crew> helpers;
};

compute_node::compute_node(node_description where, std::size_t threads)
    : state_{std::make_unique<state>()} {
  state_->where = std::move(where);
  set_threads(threads);
}
compute_node::~compute_node() {
  if (state_->helpers)
    state_->helpers->dismiss(*state_->arena);
}

const node_description& compute_node::where() const noexcept { return state_->where; }
std::size_t compute_node::threads() const noexcept { return state_->threads; }

void compute_node::set_threads(std::size_t threads) {
  auto& s = *state_;
  if (threads == 0)
    threads = std::max<std::size_t>(1, s.where.cpus.size());
  if (threads == s.threads)
    return;
  s.threads = threads;
  if (s.helpers)
    s.helpers->dismiss(*s.arena);
  s.placement.reset();
  s.arena.reset();
  s.helpers.reset();
  s.more_threads.reset();
  if (threads == 1)
    return;
  // oneTBB keeps to one thread per CPU unless told otherwise, and the smallest wish counts: so it
  // is told only what goes beyond its own limit.
  if (static_cast<int>(threads) > tbb::info::default_concurrency())
    s.more_threads = std::make_unique<tbb::global_control>(
        tbb::global_control::max_allowed_parallelism, threads);
  s.arena = std::make_unique<tbb::task_arena>(static_cast<int>(threads), 1);
  s.arena->initialize();
  s.placement = std::make_unique<helper_placement>(*s.arena, s.where);
  s.helpers = std::make_unique<crew>(threads - 1);
}

void compute_node::run(const std::function<void()>& step) {
  auto& s = *state_;
  if (!s.helpers) {
    step();
    return;
  }
  s.arena->execute([&] {
    struct step_guard { // helpers go home however the step ends
      crew& helpers;
      ~step_guard() { helpers.end_step(); }
    } guard{*s.helpers};
    s.helpers->begin_step(*s.arena);
    step();
  });
}

void compute_node::for_chunks(std::size_t n, const std::function<void(std::size_t)>& body) {
  auto& s = *state_;
  if (n > 1 && s.helpers && s.helpers->running()) {
    s.helpers->board.run_all(n, body);
    return;
  }
  for (std::size_t chunk = 0; chunk < n; ++chunk)
    body(chunk);
}

void compute_node::adopt_this_thread() const {
  bind_this_thread(state_->where.cpus);
  lower_this_thread(state_->where.lower_by);
}

} // namespace bitnetd::engine
