// SPDX-License-Identifier: MIT
#include "actors/word_lists.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

namespace bitnetd::actors {

namespace {

using word_set = std::unordered_set<std::string_view>;
using dictionary = std::unordered_map<std::string_view, std::string_view>;

const word_set& plain_set() {
  static const word_set all{
      "a",     "an",    "the",    "is",      "are",    "was",    "were",     "be",      "been",
      "do",    "does",  "did",    "what",    "which",  "who",    "whom",     "how",     "when",
      "where", "why",   "i",      "me",      "my",     "we",     "us",       "you",     "your",
      "it",    "its",   "this",   "that",    "these",  "those",  "there",    "here",    "he",
      "she",   "they",  "them",   "their",   "please", "tell",   "give",     "show",    "explain",
      "say",   "can",   "could",  "would",   "should", "will",   "shall",    "may",     "might",
      "must",  "have",  "has",    "had",     "and",    "or",     "so",       "then",    "also",
      "know",  "want",  "like",   "need",    "find",   "about",  "let",      "get",     "hi",
      "hello", "hey",   "thanks", "thank",   "in",     "on",     "at",       "of",      "for",
      "with",  "as",    "if",     "whether", "true",   "name",   "many",     "much",    "some",
      "any",   "just",  "am",     "im",      "id",     "answer", "question", "help",    "way",
      "use",   "using", "make",   "work",    "go",     "goes",   "describe", "mention", "list"};
  return all;
}

const word_set& role_words() {
  static const word_set all{"from",   "to", "into",  "than",   "by",     "over",    "against",
                         "versus", "vs", "minus", "beside", "around", "through", "instead"};
  return all;
}

const word_set& negations() {
  static const word_set all{"not",    "no",        "never",     "without",  "cannot",     "neither",
                         "nor",    "none",      "nobody",    "nothing",  "nowhere",    "non",
                         "except", "excluding", "unless",    "hardly",   "barely",     "scarcely",
                         "rarely", "seldom",    "lack",      "lacks",    "lacking",    "avoid",
                         "avoids", "avoiding",  "prevent",   "prevents", "preventing", "fail",
                         "fails",  "failed",    "failing",   "refuse",   "refuses",    "refused",
                         "forbid", "forbids",   "forbidden", "dont",     "doesnt",     "didnt",
                         "cant",   "couldnt",   "wont",      "wouldnt",  "isnt",       "arent",
                         "wasnt",  "werent",    "shouldnt",  "havent",   "hasnt",      "hadnt",
                         "mustnt", "neednt",    "aint"};
  return all;
}

const dictionary& number_words() {
  static const dictionary all{
      {"zero", "0"},          {"one", "1"},     {"two", "2"},       {"three", "3"},
      {"four", "4"},          {"five", "5"},    {"six", "6"},       {"seven", "7"},
      {"eight", "8"},         {"nine", "9"},    {"ten", "10"},      {"eleven", "11"},
      {"twelve", "12"},       {"twenty", "20"}, {"thirty", "30"},   {"forty", "40"},
      {"fifty", "50"},        {"sixty", "60"},  {"hundred", "100"}, {"thousand", "1000"},
      {"million", "1000000"}, {"dozen", "12"},  {"half", "0.5"}};
  return all;
}

const dictionary& units() {
  static const dictionary all{{"km", "kilometre"},
                              {"kilometre", "kilometre"},
                              {"kilometres", "kilometre"},
                              {"kilometer", "kilometre"},
                              {"kilometers", "kilometre"},
                              {"m", "metre"},
                              {"metre", "metre"},
                              {"metres", "metre"},
                              {"meter", "metre"},
                              {"meters", "metre"},
                              {"cm", "centimetre"},
                              {"centimetre", "centimetre"},
                              {"centimetres", "centimetre"},
                              {"centimeter", "centimetre"},
                              {"centimeters", "centimetre"},
                              {"mm", "millimetre"},
                              {"millimetre", "millimetre"},
                              {"millimetres", "millimetre"},
                              {"mile", "mile"},
                              {"miles", "mile"},
                              {"foot", "foot"},
                              {"feet", "foot"},
                              {"ft", "foot"},
                              {"inch", "inch"},
                              {"inches", "inch"},
                              {"yard", "yard"},
                              {"yards", "yard"},
                              {"kg", "kilogram"},
                              {"kilo", "kilogram"},
                              {"kilos", "kilogram"},
                              {"kilogram", "kilogram"},
                              {"kilograms", "kilogram"},
                              {"g", "gram"},
                              {"gram", "gram"},
                              {"grams", "gram"},
                              {"mg", "milligram"},
                              {"milligram", "milligram"},
                              {"milligrams", "milligram"},
                              {"lb", "pound"},
                              {"lbs", "pound"},
                              {"pound", "pound"},
                              {"pounds", "pound"},
                              {"oz", "ounce"},
                              {"ounce", "ounce"},
                              {"ounces", "ounce"},
                              {"stone", "stone"},
                              {"tonne", "tonne"},
                              {"tonnes", "tonne"},
                              {"ton", "ton"},
                              {"tons", "ton"},
                              {"l", "litre"},
                              {"litre", "litre"},
                              {"litres", "litre"},
                              {"liter", "litre"},
                              {"liters", "litre"},
                              {"ml", "millilitre"},
                              {"millilitre", "millilitre"},
                              {"millilitres", "millilitre"},
                              {"milliliter", "millilitre"},
                              {"milliliters", "millilitre"},
                              {"gallon", "gallon"},
                              {"gallons", "gallon"},
                              {"cup", "cup"},
                              {"cups", "cup"},
                              {"pint", "pint"},
                              {"pints", "pint"},
                              {"quart", "quart"},
                              {"quarts", "quart"},
                              {"celsius", "celsius"},
                              {"fahrenheit", "fahrenheit"},
                              {"kelvin", "kelvin"},
                              {"mph", "mph"},
                              {"kph", "km/h"},
                              {"kmh", "km/h"},
                              {"km/h", "km/h"},
                              {"m/s", "m/s"},
                              {"knot", "knot"},
                              {"knots", "knot"},
                              {"second", "second"},
                              {"seconds", "second"},
                              {"minute", "minute"},
                              {"minutes", "minute"},
                              {"hour", "hour"},
                              {"hours", "hour"},
                              {"day", "day"},
                              {"days", "day"},
                              {"week", "week"},
                              {"weeks", "week"},
                              {"month", "month"},
                              {"months", "month"},
                              {"year", "year"},
                              {"years", "year"},
                              {"decade", "decade"},
                              {"decades", "decade"},
                              {"century", "century"},
                              {"centuries", "century"},
                              {"byte", "byte"},
                              {"bytes", "byte"},
                              {"bit", "bit"},
                              {"bits", "bit"},
                              {"kb", "kilobyte"},
                              {"kilobytes", "kilobyte"},
                              {"mb", "megabyte"},
                              {"megabytes", "megabyte"},
                              {"gb", "gigabyte"},
                              {"gigabytes", "gigabyte"},
                              {"tb", "terabyte"},
                              {"terabytes", "terabyte"},
                              {"watt", "watt"},
                              {"watts", "watt"},
                              {"kw", "kilowatt"},
                              {"volt", "volt"},
                              {"volts", "volt"},
                              {"amp", "ampere"},
                              {"amps", "ampere"},
                              {"hz", "hertz"},
                              {"khz", "kilohertz"},
                              {"mhz", "megahertz"},
                              {"ghz", "gigahertz"},
                              {"percent", "percent"},
                              {"dollar", "dollar"},
                              {"dollars", "dollar"},
                              {"usd", "dollar"},
                              {"euro", "euro"},
                              {"euros", "euro"},
                              {"eur", "euro"},
                              {"yen", "yen"},
                              {"franc", "franc"},
                              {"francs", "franc"},
                              {"rupee", "rupee"},
                              {"rupees", "rupee"},
                              {"peso", "peso"},
                              {"pesos", "peso"},
                              {"cent", "cent"},
                              {"cents", "cent"},
                              {"word", "word"},
                              {"words", "word"},
                              {"sentence", "sentence"},
                              {"sentences", "sentence"},
                              {"paragraph", "paragraph"},
                              {"paragraphs", "paragraph"},
                              {"line", "line"},
                              {"lines", "line"},
                              {"character", "character"},
                              {"characters", "character"},
                              {"page", "page"},
                              {"pages", "page"},
                              {"am", "am"},
                              {"pm", "pm"}};
  return all;
}

const word_set& counting_units() {
  static const word_set all{"second", "minute",    "hour",    "day",  "week",     "month",
                         "year",   "decade",    "century", "word", "sentence", "paragraph",
                         "line",   "character", "page",    "bit"};
  return all;
}

const dictionary& formats() {
  static const dictionary all{
      {"json", "json"},     {"yaml", "yaml"},         {"xml", "xml"},         {"csv", "csv"},
      {"html", "html"},     {"markdown", "markdown"}, {"latex", "latex"},     {"table", "table"},
      {"bullet", "bullet"}, {"bullets", "bullet"},    {"bulleted", "bullet"}, {"poem", "poem"},
      {"haiku", "haiku"},   {"essay", "essay"},       {"letter", "letter"},   {"tweet", "tweet"},
      {"rhyme", "rhyme"},   {"song", "song"},         {"diagram", "diagram"}, {"briefly", "brief"},
      {"brief", "brief"},   {"detail", "detail"},     {"detailed", "detail"}};
  return all;
}

// Stems. The first word of each is what the others become.
const dictionary& synonyms() {
  static const dictionary all{{"purpose", "mean"},
                              {"meaning", "mean"},
                              {"definition", "mean"},
                              {"defin", "mean"},
                              {"calculat", "comput"},
                              {"work out", "comput"},
                              {"determin", "comput"},
                              {"turn", "switch"},
                              {"begin", "start"},
                              {"commence", "start"},
                              {"end", "stop"},
                              {"finish", "stop"},
                              {"quick", "fast"},
                              {"quickest", "fastest"},
                              {"rapid", "fast"},
                              {"large", "big"},
                              {"larg", "big"},
                              {"huge", "big"},
                              {"little", "small"},
                              {"tiny", "small"},
                              {"pictur", "image"},
                              {"photo", "image"},
                              {"imag", "image"},
                              {"purchas", "buy"},
                              {"obtain", "acquir"},
                              {"eras", "delet"},
                              {"remov", "delet"},
                              {"drop", "delet"},
                              {"error", "fault"},
                              {"bug", "fault"},
                              {"problem", "fault"},
                              {"fix", "repair"},
                              {"solv", "repair"},
                              {"resolv", "repair"},
                              {"enabl", "switch on"},
                              {"activat", "switch on"},
                              {"disabl", "switch off"},
                              {"deactivat", "switch off"},
                              {"distanc", "far"},
                              {"price", "cost"},
                              {"function", "do"},
                              {"method", "approach"},
                              {"time", "long"},
                              {"author", "writer"},
                              {"usa", "america"},
                              {"contain", "includ"},
                              {"comprise", "includ"},
                              {"happen", "occur"},
                              {"car", "automobile"},
                              {"film", "movie"},
                              {"kid", "child"},
                              {"children", "child"},
                              {"summariz", "summary"},
                              {"summaris", "summary"},
                              {"translat", "translation"},
                              {"convert", "conversion"},
                              {"plus", "add"}};
  return all;
}

// Stems of opposites, both ways.
const std::unordered_multimap<std::string_view, std::string_view>& opposites() {
  static const auto all = [] {
    constexpr std::pair<std::string_view, std::string_view> pairs[] = {{"enabl", "disabl"},
                                                                       {"on", "off"},
                                                                       {"start", "stop"},
                                                                       {"start", "end"},
                                                                       {"open", "clos"},
                                                                       {"increas", "decreas"},
                                                                       {"increas", "reduc"},
                                                                       {"rais", "lower"},
                                                                       {"befor", "after"},
                                                                       {"am", "pm"},
                                                                       {"minimum", "maximum"},
                                                                       {"min", "max"},
                                                                       {"least", "most"},
                                                                       {"less", "more"},
                                                                       {"fewer", "more"},
                                                                       {"buy", "sell"},
                                                                       {"safe", "danger"},
                                                                       {"safe", "dangerou"},
                                                                       {"safe", "unsafe"},
                                                                       {"advantag", "disadvantag"},
                                                                       {"pro", "con"},
                                                                       {"first", "last"},
                                                                       {"upper", "lower"},
                                                                       {"up", "down"},
                                                                       {"ascend", "descend"},
                                                                       {"push", "pull"},
                                                                       {"pop", "push"},
                                                                       {"read", "writ"},
                                                                       {"writ", "read"},
                                                                       {"encrypt", "decrypt"},
                                                                       {"encod", "decod"},
                                                                       {"compress", "decompress"},
                                                                       {"connect", "disconnect"},
                                                                       {"install", "uninstall"},
                                                                       {"load", "unload"},
                                                                       {"lock", "unlock"},
                                                                       {"mount", "unmount"},
                                                                       {"allow", "forbid"},
                                                                       {"allow", "deny"},
                                                                       {"allow", "block"},
                                                                       {"accept", "reject"},
                                                                       {"accept", "refus"},
                                                                       {"import", "export"},
                                                                       {"upload", "download"},
                                                                       {"send", "receiv"},
                                                                       {"give", "take"},
                                                                       {"win", "lose"},
                                                                       {"born", "die"},
                                                                       {"birth", "death"},
                                                                       {"cheap", "expensiv"},
                                                                       {"cheapest", "fastest"},
                                                                       {"cheapest", "expensiv"},
                                                                       {"fast", "slow"},
                                                                       {"fastest", "slowest"},
                                                                       {"high", "low"},
                                                                       {"highest", "lowest"},
                                                                       {"big", "small"},
                                                                       {"biggest", "smallest"},
                                                                       {"long", "short"},
                                                                       {"longest", "shortest"},
                                                                       {"heavier", "lighter"},
                                                                       {"heavy", "light"},
                                                                       {"hot", "cold"},
                                                                       {"warm", "cool"},
                                                                       {"old", "young"},
                                                                       {"old", "new"},
                                                                       {"oldest", "newest"},
                                                                       {"early", "late"},
                                                                       {"earlier", "later"},
                                                                       {"earliest", "latest"},
                                                                       {"left", "right"},
                                                                       {"north", "south"},
                                                                       {"east", "west"},
                                                                       {"good", "bad"},
                                                                       {"best", "worst"},
                                                                       {"better", "wors"},
                                                                       {"true", "fals"},
                                                                       {"posit", "negat"},
                                                                       {"positiv", "negativ"},
                                                                       {"intern", "extern"},
                                                                       {"public", "privat"},
                                                                       {"add", "delet"},
                                                                       {"add", "subtract"},
                                                                       {"creat", "delet"},
                                                                       {"insert", "delet"},
                                                                       {"includ", "exclud"},
                                                                       {"multiply", "divid"},
                                                                       {"sum", "difference"},
                                                                       {"boil", "melt"},
                                                                       {"arriv", "depart"},
                                                                       {"arriv", "leav"},
                                                                       {"enter", "exit"},
                                                                       {"login", "logout"},
                                                                       {"win", "lost"},
                                                                       {"succeed", "fail"},
                                                                       {"success", "failure"},
                                                                       {"cause", "prevent"},
                                                                       {"caus", "prevent"},
                                                                       {"gain", "los"},
                                                                       {"rich", "poor"},
                                                                       {"wet", "dry"},
                                                                       {"day", "night"},
                                                                       {"morn", "even"},
                                                                       {"male", "femal"},
                                                                       {"husband", "wife"},
                                                                       {"switch on", "switch off"},
                                                                       {"opposit", "mean"},
                                                                       {"synonym", "antonym"},
                                                                       {"legal", "illegal"},
                                                                       {"possibl", "impossibl"},
                                                                       {"visibl", "invisibl"},
                                                                       {"valid", "invalid"},
                                                                       {"above", "below"},
                                                                       {"inside", "outside"},
                                                                       {"same", "different"},
                                                                       {"always", "never"},
                                                                       {"all", "none"},
                                                                       {"rise", "fall"},
                                                                       {"ris", "fall"},
                                                                       {"undo", "redo"},
                                                                       {"commit", "rollback"},
                                                                       {"merg", "split"},
                                                                       {"join", "leav"},
                                                                       {"client", "server"},
                                                                       {"sender", "receiver"},
                                                                       {"parent", "child"},
                                                                       {"input", "output"}};
    std::unordered_multimap<std::string_view, std::string_view> out;
    for (const auto& [a, b] : pairs) {
      out.emplace(a, b);
      out.emplace(b, a);
    }
    return out;
  }();
  return all;
}

const word_set& volatile_words() {
  static const word_set all{"today",   "tonight", "tomorrow", "yesterday", "now",    "currently",
                         "current", "latest",  "recent",   "recently",  "newest", "nowadays",
                         "this",    "above",   "attached", "previous"};
  return all;
}

const word_set& symmetric_words() {
  static const word_set all{"between", "both",  "together", "sum",     "add",    "plus",
                         "+",       "times", "multiply", "average", "common", "same"};
  return all;
}

const dictionary& tongues() {
  static const dictionary all{{"the", "en"},     {"what", "en"}, {"how", "en"},  {"is", "en"},
                              {"which", "en"},   {"does", "en"}, {"der", "de"},  {"das", "de"},
                              {"ist", "de"},     {"wie", "de"},  {"und", "de"},  {"nicht", "de"},
                              {"ich", "de"},     {"ein", "de"},  {"eine", "de"}, {"le", "fr"},
                              {"les", "fr"},     {"est", "fr"},  {"quel", "fr"}, {"quelle", "fr"},
                              {"comment", "fr"}, {"je", "fr"},   {"pour", "fr"}, {"une", "fr"},
                              {"el", "es"},      {"los", "es"},  {"qué", "es"},  {"cómo", "es"},
                              {"cuál", "es"},    {"para", "es"}, {"por", "es"},  {"una", "es"}};
  return all;
}

std::optional<std::string_view> look_up(const dictionary& in, std::string_view word) {
  const auto found = in.find(word);
  return found == in.end() ? std::nullopt : std::optional{found->second};
}

} // namespace

std::string stem(std::string_view word) {
  constexpr std::array<std::string_view, 9> endings{"ing", "edly", "ed", "ies", "es",
                                                    "ly",  "'s",   "s",  "e"};
  if (word.size() <= 3)
    return std::string(word);
  for (const auto ending : endings) {
    if (!word.ends_with(ending) || word.size() < ending.size() + 3)
      continue;
    if (ending == "s" && (word.ends_with("ss") || word.ends_with("us") || word.ends_with("is")))
      break;
    auto out = std::string(word.substr(0, word.size() - ending.size()));
    if (ending == "ies")
      return out + 'y';
    // "running" -> "run", but "telling" -> "tell" stays as "tell" is.
    if ((ending == "ing" || ending == "ed") && out.size() > 3 &&
        out.back() == out[out.size() - 2] && out.back() != 'l' && out.back() != 's')
      out.pop_back();
    if (out.size() > 3 && out.back() == 'e')
      out.pop_back();
    return out;
  }
  return std::string(word);
}

bool is_plain_word(std::string_view word) { return plain_set().contains(word); }
bool is_role_word(std::string_view word) { return role_words().contains(word); }
bool is_negation(std::string_view word) {
  return negations().contains(word) || word.ends_with("n't");
}
std::optional<std::string> number_word(std::string_view word) {
  const auto found = look_up(number_words(), word);
  return found ? std::optional<std::string>(*found) : std::nullopt;
}
std::optional<std::string_view> unit_of(std::string_view word) { return look_up(units(), word); }
bool only_counts(std::string_view unit) { return counting_units().contains(unit); }
std::optional<std::string_view> format_of(std::string_view word) {
  return look_up(formats(), word);
}
std::string_view folded(std::string_view stemmed) {
  return look_up(synonyms(), stemmed).value_or(stemmed);
}
bool are_opposites(std::string_view a, std::string_view b) {
  const auto [from, to] = opposites().equal_range(a);
  for (auto at = from; at != to; ++at)
    if (at->second == b)
      return true;
  return false;
}
bool has_opposite(std::string_view stemmed) { return opposites().contains(stemmed); }
std::string slip_key(std::string_view word) {
  std::string out(word);
  if (out.size() >= 6 && out.find(' ') == std::string::npos)
    std::sort(out.begin() + 1, out.end() - 1);
  return out;
}
std::string_view without_slip(std::string_view word) {
  static const auto known = [] {
    std::unordered_map<std::string, std::string_view> out;
    for (const auto* list : {&units(), &formats()})
      for (const auto& [name, normal] : *list)
        if (name.size() >= 6)
          out.emplace(slip_key(name), name);
    for (const auto name : negations())
      if (name.size() >= 6)
        out.emplace(slip_key(name), name);
    return out;
  }();
  // Words of their own, though letters of "except" and "barely" exchanged.
  if (word.size() < 6 || word == "expect" || word == "barley")
    return word;
  const auto found = known.find(slip_key(word));
  return found == known.end() ? word : found->second;
}
bool is_volatile_word(std::string_view word) { return volatile_words().contains(word); }
bool is_symmetric_word(std::string_view word) { return symmetric_words().contains(word); }
std::string_view tongue_of(std::string_view word) { return look_up(tongues(), word).value_or(""); }

} // namespace bitnetd::actors
