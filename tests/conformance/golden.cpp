// SPDX-License-Identifier: MIT
#include "tests/conformance/measure.h"
#include "tests/conformance/sections.h"
#include "tests/support/npy.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

namespace bitnetd::conformance {

using engine::activation_quantization;
using engine::token_id;

namespace {

constexpr double stable_noise = 1e-5;   ///< of a case whose int8 rounding is far from boundaries
constexpr double loose_relative = 0.10; ///< otherwise: int8 rounding is chaotic at boundaries
constexpr double loose_cosine = 0.995;
constexpr double clear_margin = 1.0; ///< top-1 must agree where the logits differ by more

struct golden_case {
  std::string id;
  std::vector<token_id> tokens;
  bool stable = false;
};

/// What one recorded file is, by its name, and how close one may come to it.
struct recorded {
  std::string who, type; ///< "bitnetcpp", "i2_s-f32head"; "reference" and the variant, or empty
  activation_quantization act = activation_quantization::absmax;
  double tolerance = 0; ///< of float runs and of stable int8 runs
  double loose = loose_relative;
  bool stable_counts = true; ///< the same activation scheme: stable cases agree closely
};

/// The cases of one golden folder and one model file.
class golden_run {
public:
  golden_run(collection& cases, const model_file& file, std::filesystem::path folder, report& into)
      : cases_{cases}, file_{file}, folder_{std::move(folder)}, into_{into} {
    read_cases();
  }

  void run() {
    for (const auto& name : recorded_names())
      if (const auto what = understand(name))
        compare_logits(*what, tests::read_npy<float>(folder_ / (name + ".npy")));
    for (const char* act : {"none", "absmax"})
      compare_embeddings(act);
    compare_greedy();
  }

  /// The recorded files that this model file is compared with.
  [[nodiscard]] std::vector<std::string> claimed() const {
    std::vector<std::string> names;
    for (const auto& name : recorded_names())
      if (understand(name) || name.starts_with("reference.embed."))
        names.push_back(name);
    return names;
  }
  [[nodiscard]] std::size_t n_cases() const noexcept { return cases_list_.size(); }

private:
  void read_cases() {
    nlohmann::json noise;
    const auto own_noise = folder_ / (file_.variant + ".noise.json");
    if (std::filesystem::exists(own_noise))
      noise = read_json(own_noise);
    for (const auto& one : read_json(folder_ / "cases.json")) {
      golden_case added{one.at("id"), one.at("tokens"), one.value("stable", false)};
      if (noise.contains(added.id))
        added.stable = noise.at(added.id).get<double>() < stable_noise;
      longest_ = std::max(longest_, added.tokens.size());
      cases_list_.push_back(std::move(added));
    }
  }

  /// Names of the .npy files here, without extension.
  [[nodiscard]] std::vector<std::string> recorded_names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{folder_})
      if (entry.path().extension() == ".npy")
        names.push_back(entry.path().stem().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  /// Whether the dense tensors of this variant are stored differently, so that it has values of
  /// its own and those of other variants do not apply.
  [[nodiscard]] bool has_own_values(const std::string& variant) const {
    return !variant.empty() &&
           (std::filesystem::exists(folder_ / ("reference." + variant + ".none.npy")) ||
            std::filesystem::exists(folder_ / ("reference." + variant + ".absmax.npy")));
  }

  /// What a recorded name means for this file; empty when it speaks of another one.
  [[nodiscard]] std::optional<recorded> understand(const std::string& name) const {
    const auto dot = name.find('.');
    recorded what;
    what.who = name.substr(0, dot);
    what.type = dot == std::string::npos ? "" : name.substr(dot + 1);
    const bool own = has_own_values(file_.variant);
    if (what.who == "reference") {
      const auto prefix = own ? file_.variant + "." : "";
      if (what.type != prefix + "none" && what.type != prefix + "absmax")
        return std::nullopt;
      what.act = what.type.ends_with("none") ? activation_quantization::none
                                             : activation_quantization::absmax;
      what.tolerance = what.act == activation_quantization::none ? 5e-5 : 1e-4;
      return what;
    }
    if (own ? what.type != file_.variant : has_own_values(what.type))
      return std::nullopt;
    if (what.type == "f32") {
      what.act = activation_quantization::none;
      what.tolerance = what.who == "ikllama" ? 1e-3 : 5e-5; // its V cache is f16
    } else if (what.type == "i2_s-f32head") {
      what.tolerance = 1e-4;
    } else if (what.type == "i2_s") {
      what.tolerance = 5e-4; // its head rounds to f16
    } else if (what.type.starts_with("tq") || what.type.starts_with("iq")) {
      what.loose = 0.15; // another activation scheme
      what.stable_counts = false;
    } else {
      return std::nullopt;
    }
    return what;
  }

  [[nodiscard]] std::string label(const std::string& other, const char* rest) const {
    return file_.name() + " / " + other + rest;
  }

  const std::vector<std::vector<float>>& logits(activation_quantization act) {
    auto& rows = logits_[act];
    if (rows.empty()) {
      auto eval = cases_.load(file_.path).evaluator(act, longest_);
      for (const auto& one : cases_list_) {
        eval.reset();
        eval.feed(one.tokens);
        rows.emplace_back(eval.logits().begin(), eval.logits().end());
      }
    }
    return rows;
  }

  void compare_logits(const recorded& what, const tests::npy_array<float>& theirs) {
    const auto name = what.who + "." + what.type;
    if (theirs.shape.at(0) != cases_list_.size()) {
      into_.row("golden", label(name, "")).exact("as many rows as cases", false);
      return;
    }
    const bool floats = what.act == activation_quantization::none;
    table_row* close = nullptr;
    table_row* loose = nullptr;
    for (std::size_t i = 0; i < cases_list_.size(); ++i) {
      const auto& ours = logits(what.act)[i];
      const auto relative = relative_l2(ours, theirs.row(i));
      const auto& id = cases_list_[i].id;
      if (floats || (what.stable_counts && cases_list_[i].stable)) {
        if (close == nullptr)
          close = &into_.row("golden", label(name, floats ? "" : ", stable"), what.tolerance);
        close->within(id, relative);
        continue;
      }
      if (loose == nullptr)
        loose = &into_.row("golden", label(name, what.stable_counts ? ", other" : ""), what.loose);
      // Where int8 schemes differ, cosine says less than the distance already does.
      const bool direction = !what.stable_counts || cosine(ours, theirs.row(i)) >= loose_cosine;
      const bool choice =
          margin(theirs.row(i)) <= clear_margin || top1(ours) == top1(theirs.row(i));
      loose->within(id, relative, direction && choice,
                    !choice ? "another top-1 despite a clear margin" : "cosine too small");
    }
  }

  void compare_embeddings(const std::string& act) {
    const auto path = folder_ / ("reference.embed." + act + ".npy");
    if (!std::filesystem::exists(path))
      return;
    const bool floats = act == "none";
    const auto theirs = tests::read_npy<float>(path);
    auto eval =
        cases_.load(file_.path)
            .evaluator(floats ? activation_quantization::none : activation_quantization::absmax,
                       longest_);
    table_row* close = nullptr;
    table_row* loose = nullptr;
    for (std::size_t i = 0; i < cases_list_.size(); ++i) {
      const auto ours = eval.embed(cases_list_[i].tokens);
      const auto relative = relative_l2(ours, theirs.row(i));
      if (floats || cases_list_[i].stable) {
        if (close == nullptr)
          close = &into_.row("golden", label("reference.embed." + act, floats ? "" : ", stable"),
                             floats ? 5e-5 : 1e-4);
        close->within(cases_list_[i].id, relative);
        continue;
      }
      if (loose == nullptr)
        loose = &into_.row("golden", label("reference.embed." + act, ", other"), loose_relative);
      loose->within(cases_list_[i].id, relative, cosine(ours, theirs.row(i)) >= loose_cosine,
                    "cosine too small");
    }
  }

  void compare_greedy() {
    if (!std::filesystem::exists(folder_ / "greedy.json"))
      return;
    const auto all = read_json(folder_ / "greedy.json");
    for (const auto& [name, continuations] : all.items()) {
      const auto what = understand(name);
      if (!what)
        continue;
      // Steps count while every margin so far is beyond what rounding can turn around; where the
      // activation schemes differ, both logits of a pair move.
      const double tolerance = what->act == activation_quantization::none ? 0.02
                               : what->stable_counts                      ? 1.0
                                                                          : 2.0;
      auto& row = into_.row("golden", label(name, ", greedy"));
      for (const auto& one : cases_list_)
        if (continuations.contains(one.id))
          run_greedy(row, one, continuations.at(one.id), what->act, tolerance);
    }
  }

  void run_greedy(table_row& row, const golden_case& one, const nlohmann::json& expected,
                  activation_quantization act, double tolerance) {
    const auto tokens = expected.at("tokens").get<std::vector<token_id>>();
    const auto margins = expected.at("margins").get<std::vector<double>>();
    const auto& first = logits(act)[&one - cases_list_.data()];
    std::optional<engine::evaluator> eval;
    token_id ours = static_cast<token_id>(top1(first));
    for (std::size_t step = 0; step < tokens.size() && margins.at(step) > tolerance; ++step) {
      if (step == 1) {
        eval.emplace(cases_.load(file_.path).evaluator(act, one.tokens.size() + tokens.size()));
        eval->feed(one.tokens);
      }
      if (step > 0) {
        eval->feed(std::span{&ours, 1});
        ours = static_cast<token_id>(top1(eval->logits()));
      }
      if (ours != tokens[step]) {
        row.exact(one.id, false,
                  "step " + std::to_string(step) + ": token " + std::to_string(ours) +
                      " instead of " + std::to_string(tokens[step]));
        return;
      }
    }
    row.exact(one.id, true);
  }

  collection& cases_;
  const model_file& file_;
  std::filesystem::path folder_;
  report& into_;
  std::vector<golden_case> cases_list_;
  std::size_t longest_ = 1;
  std::map<activation_quantization, std::vector<std::vector<float>>> logits_;
};

/// What was recorded here and compared with no model file.
void skip_unclaimed(report& into, const std::filesystem::path& folder,
                    const std::set<std::string>& claimed) {
  const auto name = folder.filename().string();
  for (const auto& entry : std::filesystem::directory_iterator{folder}) {
    const auto record = entry.path().stem().string();
    if (entry.path().extension() == ".npy" && !claimed.contains(record))
      into.skip("golden", name + " / " + record,
                "no model file of this variant, or a kind of record that is not known", true,
                tests::read_npy<float>(entry.path()).shape.at(0));
  }
}

void run_golden_folder(collection& cases, report& into, const std::filesystem::path& folder) {
  std::set<std::string> claimed;
  for (const auto& file : cases.files_of(folder.filename().string())) {
    golden_run run{cases, file, folder, into};
    const auto names = run.claimed();
    claimed.insert(names.begin(), names.end());
    try {
      (void)cases.load(file.path);
    } catch (const engine::load_error& reason) {
      into.skip("golden", file.name(), reason.what(), file.house,
                std::max<std::size_t>(names.size() * run.n_cases(), 1));
      continue;
    }
    run.run();
  }
  skip_unclaimed(into, folder, claimed);
}

} // namespace

void run_golden(collection& cases, report& into) {
  for (const auto& folder : cases.files("golden", ""))
    if (std::filesystem::exists(folder / "cases.json"))
      run_golden_folder(cases, into, folder);
}

} // namespace bitnetd::conformance
