# Hashes of arrays of strings, split, joined, sorted and matched. `words.rb ROUNDS`. Run by run.py.
ARGV[0].to_i.times do |round|
  lines = Hash.new { |hash, key| hash[key] = [] }
  2000.times { |i| lines["key number #{i * 7919 % 500} of the round"] << "value #{i} of the round number #{round}" }
  text = lines.keys.sort.map { |key| "#{key}: #{lines[key].join(', ')}" }.join("\n")
  count = text.split(/\W+/).tally
  replaced = text.gsub(/\d+/) { |digits| "<#{digits}>" }
  raise unless replaced.size > 1000 && count["value"] == 2000
end
