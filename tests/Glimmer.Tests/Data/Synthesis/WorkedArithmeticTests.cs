using CsCheck;
using Glimmer.Data.Synthesis;

namespace Glimmer.Tests.Data.Synthesis;

public class WorkedArithmeticTests
{
    [Theory]
    [InlineData(47, 38, "7 + 8 = 15, write 5, carry 1; 4 + 3 = 7, 7 + 1 = 8; so 85")]
    [InlineData(99, 1, "9 + 1 = 10, write 0, carry 1; 9 + 0 = 9, 9 + 1 = 10; so 100")]
    public void Sums_are_worked_from_the_last_digit(long a, long b, string expected) => Assert.Equal(expected, WorkedArithmetic.Add(a, b));

    [Theory]
    [InlineData(62, 38, "2 < 8, 12 - 8 = 4, borrow 1; 6 - 1 = 5, 5 - 3 = 2; so 24")]
    [InlineData(100, 7, "0 < 7, 10 - 7 = 3, borrow 1; 10 - 1 = 9, 9 - 0 = 9, borrow 1; 1 - 1 = 0, 0 - 0 = 0; so 93")]
    [InlineData(68, 32, "8 - 2 = 6; 6 - 3 = 3; so 36")]
    public void Differences_are_worked_from_the_last_digit(long a, long b, string expected) => Assert.Equal(expected, WorkedArithmetic.Subtract(a, b));

    [Theory]
    [InlineData(47, 8, "7 x 8 = 56, write 6, carry 5; 4 x 8 = 32, 32 + 5 = 37; so 376")]
    [InlineData(12, 34, "12 x 4: 2 x 4 = 8; 1 x 4 = 4; so 48. 12 x 3: 2 x 3 = 6; 1 x 3 = 3; so 36, times 10 is 360. 48 + 360: 8 + 0 = 8; 4 + 6 = 10, write 0, carry 1; 0 + 3 = 3, 3 + 1 = 4; so 408")]
    public void Products_are_worked_digit_by_digit(long a, long b, string expected) => Assert.Equal(expected, WorkedArithmetic.Multiply(a, b));

    [Theory]
    [InlineData(784, 6, "7 / 6 = 1 rest 1; 18 / 6 = 3 rest 0; 4 / 6 = 0 rest 4; so 130 rest 4")]
    public void Divisions_are_worked_from_the_first_digit(long a, long b, string expected) => Assert.Equal(expected, WorkedArithmetic.Divide(a, b));

    [Theory]
    [InlineData(471, 47, "3 digits > 2 digits; so 471 > 47")]
    [InlineData(471, 481, "4 = 4; 7 < 8; so 471 < 481")]
    [InlineData(5, 5, "5 = 5; so 5 = 5")]
    public void Comparisons_look_at_the_first_digit_that_differs(long a, long b, string expected) => Assert.Equal(expected, WorkedArithmetic.Compare(a, b));

    [Fact]
    public void The_written_digits_of_a_difference_are_its_digits() =>
        Gen.Select(Gen.Long[0, 99_999], Gen.Long[0, 99_999]).Sample(pair =>
        {
            (long a, long b) = (Math.Max(pair.Item1, pair.Item2), Math.Min(pair.Item1, pair.Item2));
            string[] steps = WorkedArithmetic.Subtract(a, b).Split("; ");
            string digits = string.Concat(steps[..^1].Reverse().Select(step => step.Replace(", borrow 1", "", StringComparison.Ordinal)[^1]));
            Assert.Equal(a - b, long.Parse(digits));
        });
}
