// SPDX-License-Identifier: MIT
#include "clients/cpp/bitnet_client.h"

#include <iostream>

// Replays transcripts with the C++ client: reads {"type", "body"} and writes what came of it, one
// JSON object per line each.   transcript_client ENDPOINT

namespace {

using bitnet::json;

json act(bitnet::client& daemon, const std::string& type, const json& body) {
  json out;
  try {
    if (type == "submit" && body.value("mode", "job") == "stream") {
      std::string text;
      out["ok"] =
          daemon.stream(body, [&](const json& delta) { text += delta["text"].get<std::string>(); });
      out["streamed"] = text;
    } else {
      out["ok"] = daemon.ask(type, body);
    }
  } catch (const bitnet::refused& why) {
    out["error"] = why.body;
  }
  return out;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2)
    return 2;
  bitnet::options how{argv[1]};
  how.retry_for = std::chrono::milliseconds{0};
  bitnet::client daemon(how);
  for (std::string line; std::getline(std::cin, line);) {
    const auto asked = json::parse(line);
    std::cout << act(daemon, asked["type"], asked["body"]).dump() << std::endl;
  }
}
