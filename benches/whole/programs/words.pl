# Hashes of arrays of strings, split, joined, sorted and matched. `words.pl ROUNDS`. Run by run.py.
use strict;
use warnings;

for my $round (1 .. $ARGV[0]) {
    my %lines;
    for my $i (1 .. 2000) {
        my $key = "key number " . ($i * 7919 % 500) . " of the round";
        push @{ $lines{$key} }, "value $i of round $round";
    }
    my $text = join "\n", map { "$_: " . join(", ", @{ $lines{$_} }) } sort keys %lines;
    my %count;
    $count{$_}++ for split /\W+/, $text;
    $text =~ s/(\d+)/<$1>/g;
    die unless length($text) > 1000 && $count{value} == 2000;
}
