// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::conf {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Plain values with their defaults and units. The schema (schema.h) says for each key what it
// means, its bounds and when a change takes effect: step, job, model or restart.

/// One model to serve.
struct model_config {
  std::string name; ///< the name that jobs use
  std::filesystem::path
      path; ///< a GGUF file or Hugging Face folder; relative to the configuration file
  std::string chat_template;         ///< a built-in's name; empty: the file's own
  bool embedding = false;            ///< the model that computes embeddings for the semantic cache
  std::string i2s_layout = "common"; ///< of I2_S tensors: common, lanes16 or rows4
  std::string activations = "model"; ///< of the projections: model, absmax or none
  std::string weights = "two_bits";  ///< ternary ones in memory: two_bits or base3

  bool operator==(const model_config&) const = default;
};

enum class role { read, submit, admin };

/// One ZeroMQ endpoint. Who may connect is decided by the file mode (ipc) or by the client's key
/// (curve); without either only loopback is served, and only where the operator said so.
struct socket_config {
  std::string name;            ///< front, admin, events, or another name
  std::string endpoint;        ///< ipc://… or tcp://…; relative paths: in the runtime directory
  std::string kind = "router"; ///< router or xpub
  std::string principal = "local"; ///< whose jobs these are; with curve the client's key says it
  role may = role::submit;         ///< admin includes submit, submit includes read
  std::uint32_t mode = 0660;       ///< of the ipc file
  bool curve = false;              ///< clients prove who they are with a key of clients.d
  bool insecure = false;           ///< tcp on loopback without keys
};

/// What one principal may do and have. Who has no entry has these defaults.
struct principal_config {
  std::string name;
  role may = role::submit;      ///< of clients with a key; never more than their socket allows
  std::uint32_t weight = 1;     ///< share of compute time against other principals
  std::uint32_t open_jobs = 0;  ///< 0: limits.open_jobs
  std::uint64_t open_bytes = 0; ///< 0: limits.open_bytes
  std::string cache_namespace;  ///< principals that name the same share cached answers
};

/// One worker's CPUs and memory; written by hand, or discovered.
struct node_config {
  std::vector<int> cpus;
  std::optional<int> memory_node;
};

struct hardware_config {
  std::string isa = "auto";              ///< auto, scalar, avx2, avx_vnni, avx512_vnni, neon
  std::vector<node_config> nodes;        ///< empty: discovered with hwloc
  std::uint64_t model_bytes = 0;         ///< weights of all models on all workers; 0: no limit
  std::uint64_t kv_bytes = 256ull << 20; ///< KV memory per worker and model
  std::string kv_type = "f16";           ///< f16, f32 or q8
  std::uint32_t max_sequences = 32;      ///< per worker and model
  std::uint32_t caf_threads = 0;         ///< 0: by the number of CPUs
};

struct limits_config {
  std::uint64_t body_bytes = 8ull << 20;
  std::uint32_t max_tokens = 4096;         ///< largest params.max_tokens
  std::uint32_t open_jobs = 10000;         ///< per principal
  std::uint64_t open_bytes = 256ull << 20; ///< request bytes held in memory per principal
  std::uint32_t batch_items = 50000;
  seconds result_retention{24 * 3600}; ///< of durable jobs
  seconds drain_timeout{30};
  std::uint64_t result_bytes = 4ull << 30; ///< stored jobs and results
  /// Less room on the journal's disk: no new durable jobs.
  std::uint64_t disk_reserve_bytes = 64ull << 20;
};

enum class cache_mode { off, exact, shadow, on };

/// The answers' store; what of it is used is decided by the profile's `cache`.
struct cache_store_config {
  std::uint64_t max_bytes = 1ull << 30;
  /// When the cache is full, whoever holds more than this share of it loses entries first.
  double principal_share = 0.5;
};

struct log_config {
  std::string level = "info";
};

// ---- a profile: what the operator tunes while it runs

struct batch_config {
  std::uint32_t max_sequences = 16; ///< per step and worker
  std::uint32_t max_tokens = 512;   ///< rows per step
};

struct chunk_config {
  std::uint32_t prefill_tokens = 128; ///< most prompt tokens of one sequence per step
};

struct targets_config {
  milliseconds step{250};         ///< a step is filled up to this predicted time
  milliseconds first_token{2000}; ///< orders interactive jobs
};

/// Share and time of one class of jobs.
struct class_config {
  std::uint32_t weight = 1;
  seconds max_wait{60}; ///< after that a job goes before its class
};

struct sampling_defaults {
  double temperature = 0.0;
  double top_p = 1.0;
  double min_p = 0.0;
  std::uint32_t top_k = 0;
  double repetition_penalty = 1.0;
  std::uint32_t max_tokens = 256;
  std::uint32_t quality_retries = 1;
};

/// What decides that a similar question's answer is served, once the guards have passed it.
enum class cache_trust {
  measured, ///< a share of wrong hits that was measured and is bounded by max_wrong
  threshold ///< the similarity alone: nothing is promised
};

struct cache_policy {
  cache_mode mode = cache_mode::shadow; ///< of the similarity tier: exact = without it
  seconds ttl{24 * 3600};
  /// An answer that expired this long ago is served once more and computed anew behind that.
  seconds stale_while_revalidate{0};
  double threshold = 0.95; ///< least cosine similarity
  double min_confidence = 0.5;
  cache_trust trust = cache_trust::measured;
  double max_wrong = 0.02; ///< upper bound on the share of wrong answers among similarity hits
};

struct phases_config {
  bool analysis = true, cache = true, batching = true, checks = true;
};

/// The four classes with their default shares and times; a profile changes what it names.
[[nodiscard]] inline std::map<std::string, class_config> default_classes() {
  return {{"interactive", {8, seconds{5}}},
          {"normal", {4, seconds{60}}},
          {"batch", {2, seconds{600}}},
          {"background", {1, seconds{3600}}}};
}

struct profile_config {
  std::string name = "balanced";
  batch_config batch;
  chunk_config chunk;
  targets_config targets;
  std::uint32_t threads = 0; ///< per worker; 0 = one per CPU of the node
  /// interactive, normal, batch, background
  std::map<std::string, class_config> classes = default_classes();
  sampling_defaults sampling;
  cache_policy cache;
  phases_config phases;
};

/// Everything the daemon was told; immutable once built, swapped as a whole.
struct config {
  std::vector<model_config> models;
  std::vector<socket_config> sockets;
  std::vector<principal_config> principals;
  hardware_config hardware;
  limits_config limits;
  cache_store_config cache;
  log_config log;
  profile_config profile;

  std::uint64_t version = 0;  ///< raised by every swap; a job's result names it
  std::filesystem::path file; ///< where it came from
  std::filesystem::path state_directory, cache_directory, runtime_directory;
  std::filesystem::path server_key; ///< the secret key of sockets with curve; never read here
  /// Of clients.d/*.pub beside the file: public key (Z85) -> principal.
  std::map<std::string, std::string> client_keys;
};

using config_ptr = std::shared_ptr<const config>;

/// The settings of a principal, its own or the defaults; limits it does not set are everybody's.
[[nodiscard]] principal_config settings_of(const config& from, const std::string& principal);

} // namespace bitnetd::conf
