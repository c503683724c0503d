# Stacks of many sorts in perl: regular expressions, sort with a callback, closures, deep recursion, sprintf, pack.
use strict;
use warnings;
no warnings 'recursion';
use List::Util qw(reduce first);
use Data::Dumper;

my ($rounds) = @ARGV;
sub deep { my ($n) = @_; return $n ? [deep($n - 1), "x$n"] : [] }
for (1 .. $rounds) {
    my %count;
    my $text = join ' ', map { sprintf '%s%03d', chr(97 + $_ % 26), ($_ * 7919) % 1000 } 1 .. 3000;
    $count{$1}{$2}++ while $text =~ /([a-z])(\d+)/g;
    my @sorted = sort { keys %{$count{$a}} <=> keys %{$count{$b}} or $a cmp $b } keys %count;
    (my $changed = $text) =~ s/(\d)(\d)/sprintf '%d', $1 * $2/ge;
    my $sum = reduce { $a + $b } map { length } split / /, $changed;
    my $dump = Dumper(deep(40));
    my $packed = pack 'w/a*' x 10, map { $_ x 20 } 'a' .. 'j';
    my $found = eval { die { code => first { $_ > 10 } 1 .. 20 } };
    local $SIG{ALRM} = sub { $sum++ };
    my @grep = grep { eval "$_ % 3" } 1 .. 50;
}
