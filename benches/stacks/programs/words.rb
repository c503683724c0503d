# Stacks of many sorts in Ruby: blocks, exceptions, fibers, threads, big numbers, regular expressions. Arguments: rounds.
require 'json'
require 'set'

def deep(n) = n.zero? ? [] : [deep(n - 1), n.to_s]

ARGV[0].to_i.times do
  words = (1..2000).map { |i| format('%s%03d', (97 + i % 26).chr, i * 7919 % 1000) }
  count = words.group_by { |word| word[0] }.transform_values(&:size)
  JSON.parse(JSON.generate(words: words, count: count, deep: deep(40)))
  words.sort_by { |word| word.reverse }.each_slice(7).map(&:join).to_set
  words.join(' ').gsub(/([a-z])(\d+)/) { "#{$2}#{$1}" }
  begin
    deep(100).flatten.inject { |sum, word| raise ArgumentError, word if word == '99'; sum }
  rescue ArgumentError => e
    e.backtrace.size
  end
  fiber = Fiber.new { 20.times { |i| Fiber.yield(words[i] * 3) } }
  20.times { fiber.resume }
  Enumerator.new { |to| words.each { |word| to << word } }.lazy.map(&:upcase).first(50)
  (1..300).inject(:*).to_s.size + (3**2000 % 10**500).to_s.size
  [1, 2].map { Thread.new { deep(50).inspect } }.each(&:join)
  GC.start if rand(5).zero?
end
