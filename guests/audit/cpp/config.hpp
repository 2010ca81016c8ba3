/// What is to be reported.
#pragma once

#include <cstdint>
#include <expected>
#include <informerd.hpp>
#include <span>
#include <string>
#include <vector>

/// How much of an object is read.
enum class detail { key, fields, whole };

struct config {
  /// JSON pointers.
  std::vector<std::string> report;
  enum detail detail;
  /// Objects of the cache at once.
  std::uint32_t page;

  static std::expected<config, std::string> read();

  /// What is read of each object.
  std::span<const std::string> pointers() const;
};

/// The apiVersion and kind of what is watched.
informerd::watch watched();
