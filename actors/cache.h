// SPDX-License-Identifier: MIT
#pragma once

#include "actors/admission.h"
#include "actors/interfaces.h"
#include "actors/metrics.h"
#include "actors/outgoing.h"
#include "actors/partition.h"
#include "actors/similar_answers.h"
#include "actors/similarity_tier.h"
#include "actors/single_flight.h"
#include "base/clock.h"
#include "store/answers_db.h"

#include <caf/stateful_actor.hpp>

#include <list>
#include <map>
#include <memory>
#include <unordered_map>

namespace bitnetd::actors {

struct cache_state {
  static inline constexpr const char* name = "cache";

  /// A lookup that waits for its vector.
  struct waiting_lookup {
    job what;
    cache_key key;
    mono_time began{};
    hash128 embedder;                    ///< who makes the vector; zeros: none was asked for
    std::optional<similar_answer> rival; ///< the neighbour that was not served
  };
  /// A job that computes an answer which may be kept.
  struct computing {
    cache_key key;
    std::vector<float> vector;
    hash128 embedder;   ///< whose vector it is
    std::string prompt; ///< what the vector stands for
    seconds ttl{0};
    bool no_store = false;
    std::vector<std::string> scopes;     ///< what its entry can be invalidated by
    std::uint64_t flushes = 0;           ///< how many there had been
    std::optional<similar_answer> rival; ///< whose answer is compared with this one
    hash128 owner;                       ///< of the principal
    std::uint64_t renews = 0;            ///< the expired entry that this takes the place of
  };

  std::shared_ptr<const clock> time;
  std::shared_ptr<metrics> counters;
  std::shared_ptr<store::answers_db> answers; ///< nullptr: the store could not be opened
  conf::config_ptr config;
  peers_ptr others;
  outgoing<responder_actor> mail; ///< it opens what the batcher is to compute
  model_handle embedder;
  similarity_tier similar;
  single_flight flights;
  std::unordered_map<job_id, computing> leaders;
  std::map<std::uint64_t, waiting_lookup> waiting; ///< by ticket
  std::uint64_t next_ticket = 1;
  /// Entries handed to the keeper that may not be in the store yet; bounded, newest first.
  std::list<entry_ptr> fresh;
  std::unordered_map<std::uint64_t, store::cache_touch> touched; ///< hits since the last tick
  similar_answers judges;
  std::uint64_t flushes = 0;
  admission room;
  store::job_id_source renewal_ids;
  mono_time learned_at{}; ///< when `judges` was stored last
  std::uint64_t lookups = 0, hits = 0, shadow_hits = 0, not_admitted = 0;
  std::uint64_t renewed_same = 0, renewed_other = 0;

  void probe(cache_actor::pointer self, job what);
  void lookup(cache_actor::pointer self, job what);
  void vector_came(cache_actor::pointer self, const embedded& vector);
  void settled(cache_actor::pointer self, const job_id& id, const answer_ptr& found, bool keep);
  void cancel(cache_actor::pointer self, const job_id& id);
  void give_up_waiting(cache_actor::pointer self);
  void order(cache_actor::pointer self, const admin_request& asked);
  void tell_touched(cache_actor::pointer self);
  /// Hands what `judges` has learned to the keeper, now and then.
  void store_learned(cache_actor::pointer self);

private:
  [[nodiscard]] bool off(const job& what, std::string& why) const;
  /// Answers from the exact tier; the job is moved from when true.
  [[nodiscard]] bool try_exact(cache_actor::pointer self, job& what, const cache_key& key,
                               mono_time began);
  [[nodiscard]] bool try_similar(cache_actor::pointer self, waiting_lookup& from,
                                 std::span<const float> vector, std::string& nearest);
  /// The nearest entry that may be used and passes the guards, with what the rule says of it.
  [[nodiscard]] std::optional<std::pair<store::cache_entry, similar_answer>>
  find_similar(waiting_lookup& from, std::span<const store::neighbour> found);
  /// An answer was computed although a similar one was there: were they the same?
  void compare(const computing& how, const answer& found);
  [[nodiscard]] std::optional<store::cache_entry> held(std::uint64_t entry) const;
  void tell(cache_actor::pointer self, const admin_request& who, std::string type,
            std::string body);
  void refuse(cache_actor::pointer self, const admin_request& who, std::string why);
  void report(cache_actor::pointer self, const admin_request& asked);
  void flush(cache_actor::pointer self, const admin_request& asked);
  void pin(cache_actor::pointer self, const admin_request& asked, store::cache_entry entry);
  /// Computes anew, for nobody but the cache, what an expired entry has just answered.
  void renew(cache_actor::pointer self, const job& what, const cache_key& key, std::uint64_t entry);
  /// Whether its answer may be kept: in a full cache, what is asked once may not.
  [[nodiscard]] bool has_room_for(const job& what, const cache_key& key);
  void deliver(cache_actor::pointer self, job what, const store::cache_entry& entry, cache_info how,
               mono_time began, std::string decision);
  void ask_for_vector(cache_actor::pointer self, job what, cache_key key, mono_time began);
  [[nodiscard]] bool wants_similarity(const job& what, const cache_key& key) const;
  /// Hands a job on to be computed; what comes of it may be kept.
  void lead(cache_actor::pointer self, job what, cache_key key, std::vector<float> vector,
            const hash128& whose, std::optional<similar_answer> rival);
  /// The end of a lookup without an answer: follow, lead, or refuse (`only-if-cached`).
  void miss(cache_actor::pointer self, waiting_lookup from, std::vector<float> vector,
            std::string decision);
  void bypass(cache_actor::pointer self, job what, mono_time began, std::string why);
  void keep_answer(cache_actor::pointer self, const computing& how, const answer& found);
  /// `stale`: how long ago it may have expired.
  [[nodiscard]] bool usable(const job& what, const store::cache_entry& entry, seconds stale) const;
};

/// CACHE: phase 2.
///
///   ledger ─probe, lookup▶ cache ─compute▶ batcher        cache ─hit▶ responder
///                           │ embed ▶ worker ─embedded▶ cache ─insert▶ keeper
cache_actor::behavior_type cache(cache_actor::stateful_pointer<cache_state> self,
                                 std::shared_ptr<const clock> time,
                                 std::shared_ptr<metrics> counters,
                                 std::shared_ptr<store::answers_db> answers);

} // namespace bitnetd::actors
