// SPDX-License-Identifier: MIT
//
// What an exact hit costs through the whole pipeline: requests of one prompt that is in the cache,
// to a running bitnetd, beside a bare ROUTER that sends back what it gets, in turn. Prints both
// rates with many requests in flight and both times of one alone, and how they stand to each other.
//
//   hitbench --endpoint ipc:///run/bitnetd/front.sock [--pairs 15] [--requests 20000] [--flight 64]

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using nlohmann::json;
using clock_type = std::chrono::steady_clock;

struct options {
  std::string endpoint, echo = "ipc:///tmp/bitnetd-hitbench-echo";
  std::size_t pairs = 15, requests = 20'000, flight = 64, alone = 2000, body_bytes = 600;
};

struct measured {
  double per_second = 0, alone_us = 0;
};

double seconds_since(clock_type::time_point began) {
  return std::chrono::duration<double>(clock_type::now() - began).count();
}

/// A submit that is answered at once from the cache, padded to the wanted size.
std::string body_of(std::size_t bytes) {
  json body{{"prompt", "What is bitnetd?"},
            {"mode", "sync"},
            {"durable", false},
            {"params", {{"max_tokens", 8}}}};
  const auto bare = body.dump().size() + std::string(R"(,"meta":{"pad":""})").size();
  body["meta"]["pad"] = std::string(bytes > bare ? bytes - bare : 1, 'x');
  return body.dump();
}

/// Sends BN1 requests and counts what comes back.
class peer {
public:
  peer(zmq::context_t& context, const std::string& endpoint) : socket_(context, ZMQ_DEALER) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvtimeo, 30'000);
    socket_.connect(endpoint);
  }
  void send(const std::string& body) {
    const std::string frames[] = {"BN1", "submit", "1"};
    for (const auto& frame : frames)
      (void)socket_.send(zmq::buffer(frame), zmq::send_flags::sndmore);
    (void)socket_.send(zmq::buffer(body), zmq::send_flags::none);
  }
  /// The last frame of the next reply.
  std::string receive() {
    zmq::message_t frame;
    std::string kind;
    for (int i = 0;; ++i) {
      if (!socket_.recv(frame))
        throw std::runtime_error("no reply within 30 s");
      if (i == 1)
        kind = frame.to_string();
      if (!frame.more())
        break;
    }
    if (kind == "error")
      throw std::runtime_error("refused: " + frame.to_string());
    return frame.to_string();
  }
  measured measure(const options& o, const std::string& body) {
    measured out;
    const auto began = clock_type::now();
    for (std::size_t sent = 0, received = 0; received < o.requests; ++received) {
      for (; sent < o.requests && sent - received < o.flight; ++sent)
        send(body);
      (void)receive();
    }
    out.per_second = static_cast<double>(o.requests) / seconds_since(began);
    std::vector<double> took;
    for (std::size_t i = 0; i < o.alone; ++i) {
      const auto start = clock_type::now();
      send(body);
      (void)receive();
      took.push_back(1e6 * seconds_since(start));
    }
    std::ranges::nth_element(took, took.begin() + static_cast<std::ptrdiff_t>(took.size() / 2));
    out.alone_us = took[took.size() / 2];
    return out;
  }

private:
  zmq::socket_t socket_;
};

/// Sends every message back, until the context ends.
void echo(zmq::context_t& context, const std::string& endpoint) {
  zmq::socket_t socket(context, ZMQ_ROUTER);
  socket.set(zmq::sockopt::linger, 0);
  socket.bind(endpoint);
  try {
    for (zmq::message_t frame; socket.recv(frame);) {
      const bool more = frame.more();
      socket.send(frame, more ? zmq::send_flags::sndmore : zmq::send_flags::none);
    }
  } catch (const zmq::error_t&) { // ETERM
  }
}

double quantile(std::vector<double> of, double at) {
  std::ranges::sort(of);
  return of[static_cast<std::size_t>(at * static_cast<double>(of.size() - 1) + 0.5)];
}

void print(const char* what, const char* unit, const std::vector<double>& ours,
           const std::vector<double>& theirs) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i)
    ratios.push_back(ours[i] / theirs[i]);
  std::printf("%s: hit %.0f %s, echo %.0f %s; hit / echo %.3f (quartiles %.3f to %.3f)\n", what,
              quantile(ours, 0.5), unit, quantile(theirs, 0.5), unit, quantile(ratios, 0.5),
              quantile(ratios, 0.25), quantile(ratios, 0.75));
}

/// The answer is computed once; from then on it is a hit, as soon as the cache has taken it up.
void warm_up(peer& hits, const std::string& body) {
  constexpr int most = 100;
  json cache;
  for (int i = 0; i < most; ++i) {
    hits.send(body);
    cache = json::parse(hits.receive()).at("cache");
    if (cache.at("status") == "HIT")
      return;
  }
  throw std::runtime_error("no hit in " + std::to_string(most) + " requests: " + cache.dump());
}

int run(const options& o) {
  const auto body = body_of(o.body_bytes);
  zmq::context_t context;
  zmq::context_t echo_context;
  std::thread other([&] { echo(echo_context, o.echo); });
  int out = 0;
  try {
    peer hits(context, o.endpoint), echoes(context, o.echo);
    warm_up(hits, body);
    std::vector<double> rate, echo_rate, alone, echo_alone;
    for (std::size_t i = 0; i < o.pairs; ++i) {
      const auto ours = hits.measure(o, body), theirs = echoes.measure(o, body);
      rate.push_back(ours.per_second);
      echo_rate.push_back(theirs.per_second);
      alone.push_back(ours.alone_us);
      echo_alone.push_back(theirs.alone_us);
    }
    std::printf("%zu pairs, %zu requests of %zu bytes each, %zu in flight; %zu alone\n", o.pairs,
                o.requests, body.size(), o.flight, o.alone);
    print("rate", "/s", rate, echo_rate);
    print("alone, median", "us", alone, echo_alone);
  } catch (const std::exception& error) {
    std::cerr << "hitbench: " << error.what() << '\n';
    out = 1;
  }
  echo_context.shutdown();
  other.join();
  return out;
}

} // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("exact hits of a running bitnetd beside a bare echo");
  app.add_option("--endpoint", o.endpoint, "front socket of the daemon")->required();
  app.add_option("--echo", o.echo, "where the echo listens");
  app.add_option("--pairs", o.pairs, "runs of both, in turn")->check(CLI::Range(1, 1000));
  app.add_option("--requests", o.requests, "per run")->check(CLI::Range(100, 10'000'000));
  app.add_option("--flight", o.flight, "requests in flight")->check(CLI::Range(1, 10'000));
  app.add_option("--alone", o.alone, "requests one at a time, per run")
      ->check(CLI::Range(10, 1'000'000));
  app.add_option("--bytes", o.body_bytes, "of a request")->check(CLI::Range(150, 620));
  CLI11_PARSE(app, argc, argv);
  return run(o);
}
