namespace Glimmer.Environments.Text;

/// <summary>MT19937, with the draws of Python's <c>random.Random(seed)</c>: graders that were measured with it need its very numbers.</summary>
/// <remarks>Matsumoto and Nishimura 1998. Seeding is <c>init_by_array</c> over the 32-bit words of the seed.</remarks>
internal sealed class MersenneTwister
{
    private const int Size = 624;
    private const int Middle = 397;

    private readonly uint[] _state = new uint[Size];
    private int _index = Size;
    private double? _nextGauss;

    /// <summary>Python's <c>random.Random(seed)</c> for a seed from 0 to 2^32 - 1.</summary>
    public MersenneTwister(uint seed)
    {
        _state[0] = 19650218;
        for (uint i = 1; i < Size; i++)
            _state[i] = (1812433253 * (_state[i - 1] ^ (_state[i - 1] >> 30))) + i;
        int at = 1;
        for (int k = 0; k < Size; k++)
        {
            _state[at] = (_state[at] ^ ((_state[at - 1] ^ (_state[at - 1] >> 30)) * 1664525)) + seed;
            Advance(ref at);
        }

        for (int k = 0; k < Size - 1; k++)
        {
            _state[at] = (_state[at] ^ ((_state[at - 1] ^ (_state[at - 1] >> 30)) * 1566083941)) - (uint)at;
            Advance(ref at);
        }

        _state[0] = 0x80000000;
    }

    /// <summary>32 random bits.</summary>
    public uint Next()
    {
        if (_index == Size)
            Refill();
        uint y = _state[_index++];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680;
        y ^= (y << 15) & 0xefc60000;
        return y ^ (y >> 18);
    }

    /// <summary>Python's <c>random()</c>: 53 bits in [0, 1).</summary>
    public double NextDouble()
    {
        uint a = Next() >> 5, b = Next() >> 6;
        return ((a * 67108864.0) + b) / 9007199254740992.0;
    }

    /// <summary>Python's <c>_randbelow</c>: an integer from 0 to <paramref name="count"/> - 1 by rejection.</summary>
    public int Below(int count)
    {
        int bits = 32 - System.Numerics.BitOperations.LeadingZeroCount((uint)count);
        uint draw;
        do
            draw = Next() >> (32 - bits);
        while (draw >= count);
        return (int)draw;
    }

    /// <summary>Python's <c>gauss(0, 1)</c>: draws come in pairs.</summary>
    public double NextGauss()
    {
        if (_nextGauss is { } kept)
        {
            _nextGauss = null;
            return kept;
        }

        double angle = NextDouble() * (2.0 * Math.PI);
        double radius = Math.Sqrt(-2.0 * Math.Log(1.0 - NextDouble()));
        _nextGauss = Math.Sin(angle) * radius;
        return Math.Cos(angle) * radius;
    }

    private void Advance(ref int at)
    {
        if (++at < Size)
            return;
        _state[0] = _state[Size - 1];
        at = 1;
    }

    private void Refill()
    {
        for (int i = 0; i < Size; i++)
        {
            uint y = (_state[i] & 0x80000000) | (_state[(i + 1) % Size] & 0x7fffffff);
            _state[i] = _state[(i + Middle) % Size] ^ (y >> 1) ^ ((y & 1) * 0x9908b0df);
        }

        _index = 0;
    }
}
